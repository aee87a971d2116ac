"""What can be packed, and how jobs start."""

from typing import Any

import pytest
import torch

from tests.worker.training.tiny_tasks import TinyDataset, tiny_spec
from worker.training.pack import Pack


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "gru"},
        {"batch_size": 5},
        {"optimizer": {"kind": "sgd"}},
        {"remedy": {"activation": {"kind": "relu"}}},
    ],
)
def test_unequal_jobs_are_refused(other: dict[str, Any]) -> None:
    """Another cell, batch size, optimizer or activation cannot be stacked."""
    with pytest.raises(ValueError, match="different shapes"):
        Pack([(tiny_spec(), TinyDataset()), (tiny_spec(**other), TinyDataset())])


def test_unequal_tasks_are_refused() -> None:
    """Sequences of another length cannot be stacked."""
    jobs = [(tiny_spec(), TinyDataset()), (tiny_spec(), TinyDataset(seq_len=7))]
    with pytest.raises(ValueError, match="different shapes"):
        Pack(jobs)


def test_empty_pack_is_refused() -> None:
    """There must be a job to train."""
    with pytest.raises(ValueError, match="at least one"):
        Pack([])


def test_explicit_tanh_packs_with_default() -> None:
    """No activation and tanh are the same thing."""
    named = tiny_spec(remedy={"activation": {"kind": "tanh"}})
    pack = Pack([(tiny_spec(), TinyDataset()), (named, TinyDataset())])

    assert len(pack.specs) == 2


def test_job_starts_the_same_in_any_pack() -> None:
    """A job's first weights are its seed's, bit for bit, whoever it is packed with."""
    specs = [tiny_spec(seed=seed) for seed in (3, 4)]
    together_KP = Pack([(spec, TinyDataset()) for spec in specs]).initial_parameters(torch.float64)
    alone_KP = Pack([(specs[1], TinyDataset())]).initial_parameters(torch.float64)

    assert torch.equal(together_KP[1], alone_KP[0])
    assert not torch.equal(together_KP[0], together_KP[1])
