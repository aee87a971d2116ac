"""A job on the CPU has the same bits in float32 whoever it is trained with."""

import numpy as np
import pytest
import torch

from tests.worker.training.tiny_tasks import TinyDataset, tiny_spec
from tests.worker.training.trainings import CELLS, make_job, trained
from worker.training.loop import Trainer
from worker.training.pack import Pack

each_cell = pytest.mark.parametrize("name", CELLS)


@each_cell
def test_job_has_the_same_bits_alone_and_in_any_pack(name: str) -> None:
    """In packs of two, three and eight, in any place, with clippings and lengths of all kinds.

    Curve, flow, evaluations, end and final parameters are compared.
    """
    jobs = [make_job(name, number) for number in range(8)]
    alone = [trained([job])[0] for job in jobs]
    for members in [(1, 0), (4, 2, 7), tuple(range(8)), tuple(reversed(range(8)))]:
        together = trained([jobs[member] for member in members])

        for member, ours in zip(members, together, strict=True):
            assert ours == alone[member]


@each_cell
def test_neighbours_that_diverge_or_leave_change_no_bit(name: str) -> None:
    """Beside one whose data turns infinite and one that is dropped, a job is as alone."""
    task = make_job(name, 0)[1]
    broken = TinyDataset(
        8, task.loss, seq_len=task.seq_len, target_steps=task.target_steps, poisoned_from=2
    )
    jobs = [make_job(name, 3), make_job(name, 7, broken), make_job(name, 5), make_job(name, 6)]
    together = trained(jobs, dropped=2)

    assert len(together[2].steps) == 2
    assert "nan" in together[1].steps[-1]
    assert together[0] == trained([jobs[0]])[0]
    assert together[3] == trained([jobs[3]])[0]


@pytest.mark.parametrize("name", ["lru", "residual"])
def test_judgement_does_not_depend_on_where_the_parameters_lie(name: str) -> None:
    """A readout of one value is a product that may round by where in memory its factor begins."""
    jobs = [make_job(name, number, TinyDataset(number, outputs=1)) for number in range(8)]
    together = trained(jobs)

    assert together == [trained([job])[0] for job in jobs]


@each_cell
def test_same_job_twice_has_the_same_bits(name: str) -> None:
    """Nothing but the spec and the data decides a bit."""
    assert trained([make_job(name, 4)]) == trained([make_job(name, 4)])


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm", "min_gru", "min_lstm", "lru"])
def test_reference_packed_equals_alone(kind: str) -> None:
    """In float64, where jobs are one batch, 200 steps leave them within 1e-12 of those alone."""
    jobs = [
        (tiny_spec(kind, seed=seed, max_steps=200, eval_every=200), TinyDataset(seed))
        for seed in (1, 2, 3)
    ]
    packed = Trainer(Pack(jobs), torch.device("cpu"), torch.float64)
    for _ in packed.steps():
        pass
    for index, job in enumerate(jobs):
        alone = Trainer(Pack([job]), torch.device("cpu"), torch.float64)
        for _ in alone.steps():
            pass
        for name, expected in alone.parameters(0).items():
            np.testing.assert_allclose(
                packed.parameters(index)[name], expected, rtol=1e-12, atol=1e-12
            )
