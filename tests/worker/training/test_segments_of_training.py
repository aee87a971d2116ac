"""Training with time cut into segments, where memory allows no whole sequences."""

import numpy as np
import pytest

from tests.worker.training.trainings import CELLS, make_job, trained

WHOLE = {name: cell for name, cell in CELLS.items() if not cell[0].get("bidirectional")}
each_cell = pytest.mark.parametrize("name", WHOLE)

# For a job of `make_job`, 13 steps of five sequences: segments of three steps.
TIGHT = 5_000


@each_cell
def test_curve_in_segments_is_that_of_the_whole(name: str) -> None:
    """Loss and norms of every step agree within float32."""
    job = make_job(name, 2)
    (whole,), (cut,) = trained([job]), trained([job], budget_bytes=TIGHT)

    np.testing.assert_allclose(cut.curve, whole.curve, rtol=1e-4)


@each_cell
def test_segmented_job_has_the_same_bits_in_a_pack(name: str) -> None:
    """The budget is a job's own: its segments, and so its bits, do not depend on its company."""
    jobs = [make_job(name, number) for number in range(4)]
    together = trained(jobs, budget_bytes=TIGHT)

    assert together == [trained([job], budget_bytes=TIGHT)[0] for job in jobs]


@pytest.mark.parametrize("name", sorted(CELLS.keys() - WHOLE.keys()))
def test_two_directions_are_never_cut(name: str) -> None:
    """However tight the memory, they have the bits of the whole."""
    job = make_job(name, 2)

    assert trained([job], budget_bytes=1) == trained([job])


def test_cut_is_a_cut() -> None:
    """Gradients are added up segment by segment: in float32 some bit differs from the whole's."""
    job = make_job("lstm", 2)

    assert trained([job], budget_bytes=TIGHT) != trained([job])
