"""Packs of small jobs trained to the end, and what became of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from contract.spec import JobSpec
from tests.worker.training.tiny_tasks import TinyDataset
from worker.training.loop import Trainer
from worker.training.pack import Pack
from worker.training.records import JobStep

CPU = torch.device("cpu")
Jobs = Sequence[tuple[JobSpec, TinyDataset]]


def trained(jobs: Jobs, dtype: torch.dtype = torch.float64) -> tuple[Trainer, list[list[JobStep]]]:
    """Train to the end; returns also the steps of each job."""
    trainer = Trainer(Pack(jobs), CPU, dtype)
    steps: list[list[JobStep]] = [[] for _ in jobs]
    for job_steps in trainer.steps():
        for job_step in job_steps:
            steps[job_step.index].append(job_step)
    return trainer, steps


def flat(trainer: Trainer, index: int) -> Tensor:
    """One job's parameters in one row."""
    return torch.cat([tensor.flatten() for tensor in trainer.parameters(index).values()])


def bits(steps: list[JobStep]) -> list[str]:
    """Each step's numbers to the last bit; nan equals nan."""
    return [
        repr(
            (step.record, step.evaluation, step.end, step.flow and step.flow.grad_norm_LT.tolist())
        )
        for step in steps
    ]
