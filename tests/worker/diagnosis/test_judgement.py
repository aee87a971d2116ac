"""What just does and just does not count: the edges of the rules, and when a run is judged."""

import math
from dataclasses import replace

import numpy as np
import pytest

from contract.diagnosis import Finding, FindingCode, Severity, Verdict
from tests.worker.diagnosis import histories
from tests.worker.diagnosis.histories import BASELINE, STEPS, constant, cut, make_evals, make_flows
from worker.diagnosis.diagnose import diagnose
from worker.diagnosis.history import Floats, History


def found(history: History, code: FindingCode) -> Finding | None:
    """The finding of one code, if there is one."""
    findings = diagnose("job", history).findings
    return next((finding for finding in findings if finding.code is code), None)


def with_value(values_S: Floats, step: int, value: float) -> Floats:
    """The series with another value at one step."""
    changed_S = values_S.copy()
    changed_S[step - 1] = value
    return changed_S


def test_running_job_is_healthy_as_soon_as_it_has_learned() -> None:
    """The latest evaluation is enough; the end need not be awaited."""
    diagnosis = diagnose("job", cut(histories.learned(), 500))

    assert diagnosis.verdict is Verdict.HEALTHY
    assert diagnosis.final is False


@pytest.mark.parametrize(
    ("steps", "verdict"), [(290, Verdict.INCONCLUSIVE), (300, Verdict.VANISHING_GRADIENT)]
)
def test_running_job_is_judged_from_its_third_evaluation_on(steps: int, verdict: Verdict) -> None:
    """At a fifth of the budget and three evaluations a stuck run is judged, and not before."""
    assert diagnose("job", cut(histories.vanishing(), steps)).verdict is verdict


def test_running_job_above_the_baseline_is_left_alone_while_it_comes_down() -> None:
    """A loss that starts far above doing nothing, and falls, is not stagnated yet."""
    high_E = np.linspace(8.0, 4.0, 10) * BASELINE
    history = replace(histories.stagnated(), evals=make_evals(high_E.tolist()))

    assert diagnose("job", cut(history, 900)).verdict is Verdict.INCONCLUSIVE


def test_run_evaluated_only_at_its_end_is_judged_by_its_training_loss() -> None:
    """One evaluation after 1,000 flat steps is no reason to know nothing."""
    history = replace(
        histories.vanishing(), evals=make_evals([BASELINE], every=STEPS), loss_final=BASELINE
    )

    assert diagnose("job", history).verdict is Verdict.VANISHING_GRADIENT


def test_one_odd_batch_does_not_make_a_gradient_vanish() -> None:
    """The median over five records decides: a single short one among them changes nothing."""
    flows = (*make_flows(), *make_flows(ratio=1e-7, reach=9, num_flows=1))
    history = replace(histories.stagnated(), flows=flows)

    assert found(history, FindingCode.VANISHING_GRADIENT) is None


def test_norm_that_jumped_and_threw_the_loss_back_is_critical() -> None:
    """A norm 200 times the usual one at step 400, and a higher loss since: that explains it."""
    history = replace(
        histories.relapsed(),
        loss_S=np.append(constant(1.2, 400), constant(BASELINE, 600)),
        evals=make_evals([1.2] * 4 + [BASELINE] * 6),
        grad_norm_S=with_value(constant(0.5), 400, 100.0),
    )
    finding = found(history, FindingCode.EXPLODING_GRADIENT)

    assert finding is not None
    assert finding.severity is Severity.CRITICAL
    assert finding.first_step == 400


def test_norm_that_jumped_without_harm_is_a_warning() -> None:
    """Where the loss was at the baseline before and after, the jump explains nothing."""
    history = replace(histories.vanishing(), grad_norm_S=with_value(constant(0.5), 400, 100.0))
    finding = found(history, FindingCode.EXPLODING_GRADIENT)

    assert finding is not None
    assert finding.severity is Severity.WARNING


def test_norms_that_are_often_high_are_critical_without_harm() -> None:
    """High norms at a tenth of the steps explain a run that gets nowhere."""
    norm_S = constant(0.5)
    norm_S[::10] = 100.0
    finding = found(
        replace(histories.stagnated(), grad_norm_S=norm_S), FindingCode.EXPLODING_GRADIENT
    )

    assert finding is not None
    assert finding.severity is Severity.CRITICAL


def test_single_refused_step_is_a_warning() -> None:
    """One nan that the run got over is told, and does not make it diverged."""
    history = replace(
        histories.learned(), loss_S=with_value(histories.learned().loss_S, 7, math.nan)
    )
    finding = found(history, FindingCode.DIVERGED)

    assert finding is not None
    assert finding.severity is Severity.WARNING
    assert finding.first_step == 7


def test_rise_of_a_tiny_loss_is_no_divergence() -> None:
    """From 1e-5 to 1e-4 is tenfold and still nothing."""
    history = replace(
        histories.learned(),
        loss_S=np.geomspace(1e-5, 1e-4, STEPS),
        evals=make_evals(np.geomspace(1e-5, 1e-4, 10).tolist()),
        loss_final=1e-4,
    )

    assert diagnose("job", history).findings == ()


def test_relapse_is_dated_from_the_best_evaluation() -> None:
    """A run thrown back to the baseline is diverged from the evaluation on at which it was best."""
    finding = found(histories.relapsed(), FindingCode.DIVERGED)

    assert finding is not None
    assert finding.first_step == 500
    assert finding.evidence["loss_best"] == pytest.approx(0.02)


def test_loss_that_is_learned_by_heart_has_not_diverged() -> None:
    """Held-out loss ten times its best while training loss falls is overfitting, not divergence."""
    val_losses = [1.0, 0.3, *np.linspace(0.5, 3.0, 8).tolist()]
    history = replace(histories.learned(), evals=make_evals(val_losses), loss_final=3.0)
    codes = [finding.code for finding in diagnose("job", history).findings]

    assert FindingCode.OVERFITTING in codes
    assert FindingCode.DIVERGED not in codes


def test_small_rise_after_a_long_way_is_no_overfitting() -> None:
    """From 2.08 down to 0.02 and up to 0.03: half of the best, but half a percent of the way."""
    val_losses = [*np.geomspace(BASELINE, 0.02, 7).tolist(), 0.03, 0.03, 0.03]
    history = replace(histories.learned(), evals=make_evals(val_losses), loss_final=0.03)

    assert found(history, FindingCode.OVERFITTING) is None


def test_gates_at_their_ends_are_a_warning_only() -> None:
    """An LSTM whose gates are open or shut may be doing its work."""
    spec = histories.make_spec(cell={"kind": "lstm"})
    finding = found(replace(histories.saturated(), spec=spec), FindingCode.SATURATED)

    assert finding is not None
    assert finding.severity is Severity.WARNING


def test_tiny_updates_are_no_fault_while_the_loss_falls_well() -> None:
    """A run whose loss still falls by a tenth in its last quarter is not too slow."""
    falling_E = np.linspace(2.0, 1.1, 10)
    history = replace(
        histories.still_improving(),
        evals=make_evals(falling_E.tolist()),
        update_ratio_S=constant(1e-5),
        loss_final=1.1,
    )

    assert found(history, FindingCode.LR_TOO_LOW) is None
    assert found(histories.lr_too_low(), FindingCode.LR_TOO_LOW) is not None


def test_stagnation_gives_way_to_a_cause() -> None:
    """A stuck run whose lr explains it carries stagnation as a warning, not as a second reason."""
    finding = found(histories.lr_too_high(), FindingCode.STAGNATED)

    assert finding is not None
    assert finding.severity is Severity.WARNING
