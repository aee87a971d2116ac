"""What a side of a row is: something that trains a number of steps when told to."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from contract.spec import JobSpec
from worker.datasets.task import Batch

CPU = torch.device("cpu")


class Side(Protocol):
    """One way of doing the row's work."""

    def run(self, steps: int) -> float:
        """Train every job that many steps; the mean over the jobs of the last step's loss.

        A step is forward, loss, backward, clipping and Adam, and its loss is read as a number.
        """


@dataclass(frozen=True)
class Start:
    """What one job begins with, whichever side trains it."""

    spec: JobSpec
    batches: list[Batch]
    """Drawn beforehand, handed out in turn."""
    parameters: dict[str, Tensor]
    """By their names in `worker.training.parameters.ParameterLayout.shapes`."""
