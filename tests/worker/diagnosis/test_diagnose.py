import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from contract.diagnosis import FindingCode, Verdict
from tests.worker.diagnosis import histories
from worker.diagnosis.diagnose import diagnose
from worker.diagnosis.history import History
from worker.training.records import EndReason, EvalRecord, FlowRecord

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize(
    ("history", "verdict"),
    [
        (histories.learned(), Verdict.HEALTHY),
        (histories.exploding_then_nonfinite(), Verdict.DIVERGED),
        (histories.relapsed(), Verdict.DIVERGED),
        (histories.exploding_but_clipped(), Verdict.EXPLODING_GRADIENT),
        (histories.vanishing(), Verdict.VANISHING_GRADIENT),
        (histories.saturated(), Verdict.SATURATED),
        (histories.dead_units(), Verdict.DEAD_UNITS),
        (histories.stagnated(), Verdict.STAGNATED),
        (histories.over_clipped(), Verdict.OVER_CLIPPED),
        (histories.lr_too_high(), Verdict.LR_TOO_HIGH),
        (histories.lr_too_low(), Verdict.LR_TOO_LOW),
        (histories.overfitting(), Verdict.OVERFITTING),
        (histories.still_improving(), Verdict.INCONCLUSIVE),
        (histories.too_short(), Verdict.INCONCLUSIVE),
        (histories.running_and_too_early(), Verdict.INCONCLUSIVE),
    ],
)
def test_each_story_gets_its_verdict(history: History, verdict: Verdict) -> None:
    """The gravest critical finding is the verdict; without one it is healthy or inconclusive."""
    diagnosis = diagnose("job_x", history)

    assert diagnosis.verdict is verdict
    assert diagnosis.final is (history.end is not None)


def test_verdict_is_the_gravest_finding() -> None:
    """Findings come in the order of their gravity, and the first critical one is the verdict."""
    history = replace(
        histories.vanishing(), flows=histories.make_flows(ratio=1e-7, reach=9, saturation=0.9)
    )

    diagnosis = diagnose("job_x", history)

    codes = [finding.code for finding in diagnosis.findings]
    assert codes == sorted(codes, key=list(FindingCode).index)
    assert diagnosis.verdict.value == codes[0].value == "vanishing_gradient"


def test_run_that_learned_is_healthy_with_warnings() -> None:
    """Clipping at most steps and a short reach do not make a run ill that has learned."""
    history = replace(
        histories.learned(),
        spec=histories.make_spec(**histories.CLIPPED),
        clip_coef_S=histories.constant(0.1),
        flows=histories.make_flows(ratio=1e-7, reach=9),
    )

    diagnosis = diagnose("job_x", history)

    assert diagnosis.verdict is Verdict.HEALTHY
    assert {finding.code for finding in diagnosis.findings} == {
        FindingCode.VANISHING_GRADIENT,
        FindingCode.OVER_CLIPPED,
    }


def test_run_that_ended_nonfinite_is_diverged_though_it_had_learned() -> None:
    """What had been learned is lost with the weights."""
    history = replace(histories.learned(), end=EndReason.NONFINITE, loss_final=math.inf)

    assert diagnose("job_x", history).verdict is Verdict.DIVERGED


def test_early_run_says_how_many_steps_are_missing() -> None:
    """A run that cannot be judged yet names the steps that would tell."""
    diagnosis = diagnose("job_x", histories.running_and_too_early())

    assert "150 steps" in diagnosis.summary
    assert "150 more" in diagnosis.summary
    assert diagnosis.prescriptions == ()


def test_summary_has_the_numbers() -> None:
    """The sentence names reach, length, loss and baseline."""
    summary = diagnose("job_x", histories.vanishing()).summary

    for number in ("9 most recent of 30", "29 are needed", "2.079", "1000 steps"):
        assert number in summary


def test_measures_are_the_run_in_numbers() -> None:
    """Medians, shares and the two losses are those of the history."""
    measures = diagnose("job_x", histories.exploding_but_clipped()).measures

    assert measures is not None
    assert measures.clip_fraction == 1.0
    assert measures.grad_norm_median == 1e4
    assert measures.flow_ratio == pytest.approx(1e4)
    assert measures.loss_baseline == pytest.approx(math.log(8))


@st.composite
def anything(draw: st.DrawFn) -> History:
    """A history with any values at all in it."""
    steps = draw(st.integers(0, 40))

    def series() -> np.ndarray:
        return draw(arrays(np.float64, steps, elements=ANY_FLOAT))

    norms = draw(arrays(np.float64, (1, 5), elements=st.floats(0, allow_infinity=True)))
    flow = FlowRecord(1, norms, norms, (draw(st.integers(1, 5)),), None, draw(ANY_FLOAT), None)
    evals = [EvalRecord(at + 1, loss, None) for at, loss in enumerate(draw(st.lists(ANY_FLOAT)))]
    return History(
        spec=histories.make_spec(**draw(st.sampled_from([{}, histories.CLIPPED]))),
        task=histories.TASK,
        loss_S=series(),
        lr_S=series(),
        grad_norm_S=series(),
        clip_coef_S=series(),
        update_ratio_S=series(),
        evals=tuple(evals),
        flows=draw(st.sampled_from([(), (flow,), (flow,) * 3])),
        end=draw(st.sampled_from([None, *EndReason])),
        loss_final=draw(st.none() | ANY_FLOAT),
    )


@given(history=anything())
def test_any_history_is_diagnosed_in_plain_json(history: History) -> None:
    """Whatever a run did, it gets a diagnosis that JSON can hold."""
    diagnosis = diagnose("job_x", history)

    assert json.dumps(diagnosis.model_dump(mode="json"), allow_nan=False)
