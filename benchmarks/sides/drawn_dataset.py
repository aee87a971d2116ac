"""The adding problem drawn beforehand, so that drawing it is in nobody's time."""

from dataclasses import dataclass

from contract.spec import Adding, JobSpec
from worker.datasets.adding import make_adding
from worker.datasets.task import Batch, Task

_BATCHES = 16


@dataclass(frozen=True)
class DrawnDataset:
    """A dataset that hands out the same few batches in turn."""

    task: Task
    batches: list[Batch]

    def batch(self, step: int, size: int) -> Batch:  # noqa: ARG002 - drawn in this size already
        """Training batch of one step (counted from 1)."""
        return self.batches[(step - 1) % len(self.batches)]

    def validation(self) -> Batch:
        """Held out from nothing: no row gets as far as an evaluation."""
        return self.batches[0]

    def test(self) -> Batch:
        """Held out from nothing: no row ends a job."""
        return self.batches[0]


def draw(spec: JobSpec) -> DrawnDataset:
    """Draw a job's batches.

    Raises:
        TypeError: the spec's dataset is not the adding problem.
    """
    if not isinstance(spec.dataset, Adding):
        raise TypeError("the rows train on the adding problem only")
    training = spec.training
    source = make_adding(spec.dataset, training.seed)
    steps = range(1, _BATCHES + 1)
    return DrawnDataset(source.task, [source.batch(step, training.batch_size) for step in steps])
