"""Our side: the trainer that the worker runs, driven as the worker drives it."""

import statistics
from collections.abc import Sequence

import torch

from benchmarks.sides.drawn_dataset import draw
from benchmarks.sides.side import CPU, Start
from contract.spec import JobSpec
from worker.training.loop import Trainer
from worker.training.pack import Pack


class Ours:
    """All jobs as one pack, in float32.

    Args:
        specs: one a job.
        device: where they are trained.
        gpu_kernels: whether a GPU's kernels are used.
    """

    def __init__(
        self,
        specs: Sequence[JobSpec],
        device: torch.device = CPU,
        *,
        gpu_kernels: bool = False,
    ) -> None:
        jobs = [(spec, draw(spec)) for spec in specs]
        trainer = Trainer(Pack(jobs, gpu_kernels=gpu_kernels), device)
        self.starts = [
            Start(spec, dataset.batches, trainer.parameters(index))
            for index, (spec, dataset) in enumerate(jobs)
        ]
        """What each job begins with; the peers begin with the same."""
        self._steps = trainer.steps()

    def run(self, steps: int) -> float:
        """Train all jobs that many steps."""
        for _ in range(steps - 1):
            next(self._steps)
        return statistics.fmean(job_step.record.loss for job_step in next(self._steps))
