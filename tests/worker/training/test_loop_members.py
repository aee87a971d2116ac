"""The members of a pack: each is where it would be alone, whatever becomes of the others."""

import numpy as np
import pytest
import torch

from tests.worker.training.tiny_tasks import TinyDataset, tiny_spec
from tests.worker.training.trained import CPU, Jobs, bits, flat, trained
from worker.training.job_run import MAX_REFUSALS
from worker.training.loop import Trainer
from worker.training.pack import Pack
from worker.training.records import JobStep


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_packed_equals_alone(kind: str) -> None:
    """After 50 steps every job of a pack is where it would be alone, its numbers its own."""
    jobs = [
        (
            tiny_spec(
                kind,
                seed=seed,
                max_steps=50,
                eval_every=20,
                optimizer={"kind": "adam", "lr": lr},
                remedy={"clipping": clipping},
            ),
            TinyDataset(seed),
        )
        for seed, lr, clipping in [
            (1, 0.01, None),
            (2, 0.02, {"kind": "norm", "max_norm": 0.1}),
            (3, 0.03, {"kind": "value", "clip_value": 0.01}),
        ]
    ]
    packed, packed_steps = trained(jobs)
    for index, job in enumerate(jobs):
        alone, (alone_steps,) = trained([job])
        losses = [step.record.loss for step in packed_steps[index]]

        torch.testing.assert_close(flat(packed, index), flat(alone, 0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(losses, [s.record.loss for s in alone_steps], rtol=1e-10)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_diverging_member_leaves_the_others_bitwise_alike(kind: str) -> None:
    """A member whose data turns infinite, is refused and ends changes no bit of the others."""
    healthy = [(tiny_spec(kind, seed=seed, max_steps=20), TinyDataset(seed)) for seed in (1, 2)]
    third = tiny_spec(kind, seed=3, max_steps=20)
    calm, calm_steps = trained([healthy[0], (third, TinyDataset(3)), healthy[1]], torch.float32)
    broken_job = (third, TinyDataset(3, poisoned_from=4))
    broken, broken_steps = trained([healthy[0], broken_job, healthy[1]], torch.float32)

    assert broken_steps[1][-1].record.step == 3 + MAX_REFUSALS
    for index in (0, 2):
        assert torch.equal(flat(calm, index), flat(broken, index))
        assert bits(calm_steps[index]) == bits(broken_steps[index])


def test_ended_job_leaves_the_pack() -> None:
    """A job with fewer steps reports no more, asks for no more data and keeps its weights."""
    short, long = TinyDataset(1), TinyDataset(2)
    jobs = [(tiny_spec(max_steps=3), short), (tiny_spec(max_steps=6), long)]
    packed, steps = trained(jobs)
    alone, _ = trained([(tiny_spec(max_steps=3), TinyDataset(1))])

    assert [len(of_job) for of_job in steps] == [3, 6]
    assert short.asked_steps == [1, 2, 3]
    torch.testing.assert_close(flat(packed, 0), flat(alone, 0), rtol=1e-12, atol=1e-12)


def _trained_dropping(jobs: Jobs, index: int, after: int) -> tuple[Trainer, list[list[JobStep]]]:
    """Train to the end, one job being dropped after a step; the steps of each job."""
    trainer = Trainer(Pack(jobs), CPU)
    steps: list[list[JobStep]] = [[] for _ in jobs]
    if after == 0:
        trainer.drop(index)
    for number, job_steps in enumerate(trainer.steps(), start=1):
        for job_step in job_steps:
            steps[job_step.index].append(job_step)
        if number == after:
            trainer.drop(index)
    return trainer, steps


@pytest.mark.parametrize("after", [0, 3])
def test_dropped_job_leaves_the_others_bitwise_alike(after: int) -> None:
    """A job that is dropped reports no more and has no end; the others do not notice."""
    jobs = [(tiny_spec(seed=seed), TinyDataset(seed)) for seed in (1, 2, 3)]
    calm, calm_steps = trained(jobs, torch.float32)
    dropped, steps = _trained_dropping(jobs, 1, after)

    assert [step.record.step for step in steps[1]] == list(range(1, after + 1))
    assert [step.end for step in steps[1]] == [None] * after
    for index in (0, 2):
        assert torch.equal(flat(calm, index), flat(dropped, index))
        assert bits(calm_steps[index]) == bits(steps[index])


def test_pack_ends_when_its_last_job_is_dropped() -> None:
    """With nothing left to train there is no further step."""
    _, (steps,) = _trained_dropping([(tiny_spec(), TinyDataset())], 0, 4)

    assert len(steps) == 4


def test_leaky_pack_is_judged_job_by_job() -> None:
    """Jobs with different slopes are trained together and evaluated each with its own."""
    jobs = [
        (
            tiny_spec(
                seed=1,
                remedy={"activation": {"kind": "leaky_relu", "negative_slope": slope}},
            ),
            TinyDataset(),
        )
        for slope in (0.1, 0.8)
    ]
    _, packed = trained(jobs)
    for index, job in enumerate(jobs):
        _, (alone,) = trained([job])
        expected, got = alone[-1].evaluation, packed[index][-1].evaluation

        assert expected is not None
        assert got is not None
        assert got.val_loss == pytest.approx(expected.val_loss, rel=1e-10)
