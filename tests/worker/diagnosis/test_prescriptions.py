from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.diagnosis import Finding, FindingCode, Prescription, Severity, Verdict
from contract.merge_patch import apply_merge_patch
from contract.spec import JobSpec
from tests.worker.diagnosis import histories
from worker.diagnosis.diagnose import diagnose
from worker.diagnosis.history import History
from worker.diagnosis.prescriptions import prescribe

DATASETS: list[dict[str, Any]] = [
    {"kind": "adding", "seq_len": 100},
    {"kind": "delayed_recall", "seq_len": 30},
    {"kind": "delayed_recall", "seq_len": 300},
    {"kind": "temporal_order", "seq_len": 100},
    {"kind": "subject_recall", "gap": 60},
    {
        "kind": "upload",
        "dataset_id": "ds_" + "0" * 26,
        "task": {"kind": "forecast", "target": "x", "inputs": ["x"], "seq_len": 24},
    },
]
INITS: dict[str, list[dict[str, Any] | None]] = {
    "rnn": [None, {"kind": "xavier_normal", "gain": 2.0}, {"kind": "identity", "scale": 1.1}],
    "gru": [None, {"kind": "chrono", "max_lag": 10}, {"kind": "kaiming"}],
    "lstm": [None, {"kind": "forget_bias", "value": 2.0}, {"kind": "orthogonal", "gain": 1.0}],
}
CLIPPINGS: list[dict[str, Any] | None] = [
    None,
    {"kind": "norm", "max_norm": 1.0},
    {"kind": "value", "clip_value": 0.5},
]
OPTIMIZERS: list[dict[str, Any]] = [{"kind": kind} for kind in ("sgd", "rmsprop", "adam", "adamw")]


@st.composite
def specs(draw: st.DrawFn) -> JobSpec:
    """A valid spec of any dataset and cell."""
    cell = draw(st.sampled_from(sorted(INITS)))
    remedy = {
        "init": draw(st.sampled_from(INITS[cell])),
        "clipping": draw(st.sampled_from(CLIPPINGS)),
    }
    if cell == "rnn":
        remedy["activation"] = draw(st.sampled_from([None, {"kind": "relu"}]))
    return JobSpec.model_validate(
        {
            "dataset": draw(st.sampled_from(DATASETS)),
            "cell": {"kind": cell, "hidden_size": draw(st.integers(1, 64))},
            "remedy": remedy,
            "training": {"optimizer": draw(st.sampled_from(OPTIMIZERS))},
        }
    )


def finding_of(code: FindingCode) -> Finding:
    """A critical finding."""
    return Finding(
        code=code,
        severity=Severity.CRITICAL,
        first_step=1,
        last_step=1000,
        evidence={},
        threshold={},
        explanation="Found.",
    )


def on(spec: JobSpec) -> History:
    """A stuck run of a spec."""
    return replace(histories.stagnated(), spec=spec)


def titles(prescriptions: tuple[Prescription, ...]) -> list[str]:
    """What is prescribed, in order."""
    return [prescription.title for prescription in prescriptions]


@given(spec=specs(), code=st.sampled_from(FindingCode))
def test_every_patch_makes_another_valid_spec(spec: JobSpec, code: FindingCode) -> None:
    """Applied to the stored spec, each patch gives a valid spec that differs from it."""
    stored = spec.model_dump(mode="json")

    prescriptions = prescribe(on(spec), Verdict(code), (finding_of(code),))

    patched = [
        JobSpec.model_validate(apply_merge_patch(stored, prescription.patch))
        for prescription in prescriptions
    ]
    assert all(new != spec for new in patched)
    assert len({new.model_dump_json() for new in patched}) == len(patched)
    assert [prescription.rank for prescription in prescriptions] == list(
        range(1, len(prescriptions) + 1)
    )
    assert all(prescription.source and prescription.reason for prescription in prescriptions)


@given(
    spec=specs(),
    code=st.sampled_from([FindingCode.VANISHING_GRADIENT, FindingCode.EXPLODING_GRADIENT]),
)
def test_both_problems_have_two_ways_out(spec: JobSpec, code: FindingCode) -> None:
    """Vanishing and exploding gradients always have at least two prescriptions."""
    assert len(prescribe(on(spec), Verdict(code), (finding_of(code),))) >= 2


@pytest.mark.parametrize(
    ("dataset", "first"),
    [
        ({"kind": "subject_recall", "gap": 60}, "Start W_hh orthogonal, clip at 1"),
        ({"kind": "temporal_order", "seq_len": 30}, "Start W_hh orthogonal, clip at 1"),
        ({"kind": "temporal_order", "seq_len": 100}, "Use an LSTM with chrono initialisation"),
        ({"kind": "delayed_recall", "seq_len": 300}, "Use an LSTM with chrono initialisation"),
        ({"kind": "adding", "seq_len": 100}, "Use a GRU"),
    ],
)
def test_remedy_for_memory_depends_on_the_task(dataset: dict[str, Any], first: str) -> None:
    """An orthogonal start recalls but does not add, a GRU the other way round."""
    spec = histories.make_spec(dataset=dataset)
    task = replace(histories.TASK, seq_len=dataset.get("seq_len", 69))
    history = replace(on(spec), task=task)
    finding = finding_of(FindingCode.VANISHING_GRADIENT)

    assert titles(prescribe(history, Verdict.VANISHING_GRADIENT, (finding,)))[0] == first


def test_unclipped_explosion_is_clipped_first() -> None:
    """The first thing to do about an explosion is to bound the gradient."""
    diagnosis = diagnose("job_x", histories.exploding_then_nonfinite())

    first = diagnosis.prescriptions[0]
    assert first.patch == {"remedy": {"clipping": {"kind": "norm", "max_norm": 1.0}}}
    assert first.because == (FindingCode.DIVERGED, FindingCode.EXPLODING_GRADIENT)


def test_clipped_explosion_gets_another_start() -> None:
    """Where clipping is there already, what makes the gradient grow is taken away."""
    first = diagnose("job_x", histories.exploding_but_clipped()).prescriptions[0]

    assert first.patch["remedy"]["init"]["kind"] == "orthogonal"
    assert "clipping" not in first.patch["remedy"]


def test_patch_that_switches_a_kind_drops_the_old_fields() -> None:
    """The old kind's own fields are removed by null, so that the result is a closed spec."""
    spec = histories.make_spec(remedy={"init": {"kind": "identity", "scale": 1.1}})
    finding = finding_of(FindingCode.VANISHING_GRADIENT)

    first = prescribe(on(spec), Verdict.VANISHING_GRADIENT, (finding,))[0]

    init = first.patch["remedy"]["init"]
    assert (init["kind"], init["gain"], init["scale"]) == ("orthogonal", 1.0, None)


def test_healthy_run_is_left_alone() -> None:
    """Nothing is prescribed where nothing is wrong."""
    assert diagnose("job_x", histories.learned()).prescriptions == ()


def test_run_that_was_still_learning_gets_more_steps() -> None:
    """A budget that ended too soon is made larger."""
    (first,) = diagnose("job_x", histories.still_improving()).prescriptions

    assert first.patch == {"training": {"max_steps": 4000}}
