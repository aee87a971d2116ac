"""When a skip over time is prescribed, and what the spec is then."""

from dataclasses import replace
from typing import Any

import pytest

from contract.diagnosis import Finding, FindingCode, Severity, Verdict
from contract.merge_patch import apply_merge_patch
from contract.spec import DilatedSkip, JobSpec, ResidualSkip
from tests.worker.diagnosis import histories
from tests.worker.diagnosis.histories import make_spec
from worker.diagnosis.diagnose import diagnose
from worker.diagnosis.prescriptions import prescribe

RECALL = {"kind": "delayed_recall", "seq_len": 100}
ORDER = {"kind": "temporal_order", "seq_len": 100}


def prescribed(
    code: FindingCode, dataset: dict[str, Any], **parts: dict[str, Any]
) -> list[JobSpec]:
    """The specs that forks of a stuck run on a dataset would run, best first."""
    spec = make_spec(dataset=dataset, **parts)
    finding = Finding(
        code=code,
        severity=Severity.CRITICAL,
        first_step=1,
        last_step=300,
        evidence={},
        threshold={},
        explanation="Found.",
    )
    history = replace(histories.stagnated(), spec=spec)
    return [
        JobSpec.model_validate(apply_merge_patch(spec.model_dump(mode="json"), one.patch))
        for one in prescribe(history, Verdict(code.value), (finding,))
    ]


def skips(specs: list[JobSpec]) -> list[type]:
    """The kinds of skip in them, those without one left out."""
    return [type(spec.remedy.skip) for spec in specs if spec.remedy.skip is not None]


@pytest.mark.parametrize(
    "dataset", [RECALL, RECALL | {"seq_len": 400}, {"kind": "subject_recall", "gap": 60}]
)
def test_residual_connection_is_the_second_answer_where_recall_vanishes(
    dataset: dict[str, Any],
) -> None:
    """The cell stays as it is and starts as torch starts it, as it was measured."""
    second = prescribed(FindingCode.VANISHING_GRADIENT, dataset)[1]

    assert second.remedy.skip == ResidualSkip(kind="residual", lag=10)
    assert (second.cell.kind, second.remedy.init) == ("rnn", None)
    assert second.remedy.clipping is not None


@pytest.mark.parametrize(("cell", "lr"), [("rnn", 0.001), ("gru", 0.005), ("lstm", 0.005)])
def test_residual_connection_keeps_the_cell_and_has_its_lr(cell: str, lr: float) -> None:
    """Gates learn to recall at 0.005, a network without them at 0.001."""
    specs = prescribed(
        FindingCode.VANISHING_GRADIENT,
        RECALL,
        cell={"kind": cell},
        training={"optimizer": {"kind": "sgd"}},
    )
    (spec,) = [spec for spec in specs if spec.remedy.skip is not None]

    assert spec.cell.kind == cell
    assert (spec.training.optimizer.kind, spec.training.optimizer.lr) == ("adam", lr)


def test_dilated_layers_are_the_second_answer_where_an_order_vanishes() -> None:
    """Three tanh layers, whatever there was before."""
    second = prescribed(FindingCode.VANISHING_GRADIENT, ORDER, cell={"kind": "lstm"})[1]

    assert second.remedy.skip == DilatedSkip(kind="dilated", base=4)
    assert (second.cell.kind, second.cell.num_layers) == ("rnn", 3)


@pytest.mark.parametrize(
    ("code", "dataset"),
    [
        (FindingCode.VANISHING_GRADIENT, {"kind": "adding", "seq_len": 100}),
        (FindingCode.VANISHING_GRADIENT, {"kind": "delayed_recall", "seq_len": 10}),
        (FindingCode.VANISHING_GRADIENT, {"kind": "temporal_order", "seq_len": 16}),
        (FindingCode.EXPLODING_GRADIENT, RECALL),
    ],
)
def test_skip_is_not_prescribed_where_it_does_not_help(
    code: FindingCode, dataset: dict[str, Any]
) -> None:
    """Not for adding, nor for sequences as short as the skip, nor against an explosion."""
    assert skips(prescribed(code, dataset)) == []


def test_residual_connection_is_not_prescribed_twice() -> None:
    """A run that has it already is told of the other ways only."""
    remedy = {"skip": {"kind": "residual", "lag": 10}, "clipping": {"kind": "norm"}}
    history = replace(
        histories.vanishing(),
        spec=make_spec(dataset=RECALL, remedy=remedy, training={"max_steps": 1_000}),
    )
    titles = [one.title for one in diagnose("job", history).prescriptions]

    assert titles
    assert not any("steps later" in title for title in titles)
