"""What is prescribed for cells that have no W_hh."""

from dataclasses import replace

import pytest

from contract.diagnosis import Finding, FindingCode, Severity, Verdict
from contract.merge_patch import apply_merge_patch
from contract.spec import JobSpec
from tests.worker.diagnosis import histories
from tests.worker.diagnosis.histories import make_spec
from worker.diagnosis.prescriptions import prescribe


def prescribed(spec: JobSpec, code: FindingCode) -> list[JobSpec]:
    """The specs that are prescribed against one critical finding, best first."""
    finding = Finding(
        code=code,
        severity=Severity.CRITICAL,
        first_step=1,
        last_step=300,
        evidence={},
        threshold={},
        explanation="It fails.",
    )
    history = replace(histories.vanishing(), spec=spec)
    stored = spec.model_dump(mode="json")
    return [
        JobSpec.model_validate(apply_merge_patch(stored, prescription.patch))
        for prescription in prescribe(history, Verdict(code.value), (finding,))
    ]


def test_another_cell_keeps_sizes_and_leaves_the_ring_behind() -> None:
    """In place of an LRU of two layers comes an LSTM or GRU of the same sizes."""
    spec = make_spec(
        cell={"kind": "lru", "num_layers": 2, "dropout": 0.2, "bidirectional": True, "r_min": 0.5}
    )
    cells = [new.cell for new in prescribed(spec, FindingCode.VANISHING_GRADIENT)]

    assert {cell.kind for cell in cells} == {"rnn", "lstm", "gru"}
    for cell in cells:
        assert (cell.num_layers, cell.dropout, cell.bidirectional) == (2, 0.2, True)


@pytest.mark.parametrize("kind", ["min_gru", "min_lstm", "lru"])
def test_cell_without_w_hh_is_never_started_orthogonal(kind: str) -> None:
    """Where the cell is kept, so is its own start."""
    for code in FindingCode:
        for new in prescribed(make_spec(cell={"kind": kind}), code):
            assert new.cell.kind != kind or new.remedy.init is None


def test_saturated_minimal_cell_takes_smaller_steps() -> None:
    """Clipping, a lower lr and a warm-up, in place of an orthogonal start."""
    clipped, lowered, warmed = prescribed(
        make_spec(cell={"kind": "min_gru"}), FindingCode.SATURATED
    )

    assert clipped.remedy.clipping is not None
    assert lowered.training.optimizer.lr == pytest.approx(1e-4)
    assert warmed.remedy.lr_control is not None
