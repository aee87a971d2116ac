"""Jobs of a pack shared among threads."""

import pytest
import torch

from tests.worker.training.tiny_tasks import TinyDataset, tiny_spec
from worker.training.loop import Trainer
from worker.training.pack import Pack
from worker.training.records import JobStep


def _trained(threads: int, dtype: torch.dtype) -> tuple[Trainer, list[JobStep]]:
    jobs = [
        (tiny_spec("gru", seed=seed, max_steps=6 + seed), TinyDataset(seed)) for seed in range(5)
    ]
    trainer = Trainer(Pack(jobs), torch.device("cpu"), dtype, threads=threads)
    return trainer, [step for steps in trainer.steps() for step in steps]


@pytest.mark.parametrize("threads", [2, 3, 9])
def test_bits_do_not_depend_on_threads(threads: int) -> None:
    """On any number of threads every job has the curve, flow and weights that it has on one."""
    one, by_one = _trained(1, torch.float32)
    several, by_several = _trained(threads, torch.float32)

    assert [(step.index, step.record) for step in by_several] == [
        (step.index, step.record) for step in by_one
    ]
    for ours, theirs in zip(by_several, by_one, strict=True):
        assert (ours.flow is None) == (theirs.flow is None)
        if ours.flow and theirs.flow:
            assert ours.flow.grad_norm_LT.tobytes() == theirs.flow.grad_norm_LT.tobytes()
            assert ours.flow.saturation == theirs.flow.saturation
    for index in range(5):
        pairs = zip(several.parameters(index).values(), one.parameters(index).values(), strict=True)
        assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_reference_can_be_shared_too() -> None:
    """In float64, where there are no kernels, threads change nothing beyond rounding."""
    _, by_one = _trained(1, torch.float64)
    _, by_several = _trained(2, torch.float64)
    losses = torch.tensor(
        [[a.record.loss, b.record.loss] for a, b in zip(by_one, by_several, strict=True)]
    )

    torch.testing.assert_close(losses[:, 0], losses[:, 1], rtol=1e-12, atol=0)
