"""States of jobs to go back to: copies of their rows of every tensor that training changes.

Shapes: K jobs of a pack.
"""

from collections import deque
from collections.abc import Sequence

from torch import Tensor

from worker.remedies.lr_control import KEPT_SNAPSHOTS


class Snapshots:
    """The last few states of each job of a pack.

    Args:
        tensors: (K, ...) each, changed in place by training.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors
        self._kept: dict[int, deque[list[Tensor]]] = {}

    def keep(self, index: int) -> None:
        """Copy a job's state; the oldest one goes if there are too many."""
        states = self._kept.setdefault(index, deque(maxlen=KEPT_SNAPSHOTS))
        states.append([tensor[index].clone() for tensor in self._tensors])

    def go_back(self, index: int) -> None:
        """Write a job's oldest state back; the newer ones are forgotten."""
        states = self._kept[index]
        while len(states) > 1:
            states.pop()
        for tensor, row in zip(self._tensors, states[0], strict=True):
            tensor[index].copy_(row)

    def forget(self, index: int) -> None:
        """Let go of a job that has ended."""
        self._kept.pop(index, None)
