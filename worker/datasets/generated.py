"""A dataset that is made up as it is asked for, batch by batch.

Shapes: N sequences, I input features.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from worker.datasets.draws import Purpose, draws
from worker.datasets.task import Batch, Floats, Task

HELD_OUT_SEQUENCES = 2_048
"""Sequences of a held-out set, unless they are too long for that."""

HELD_OUT_NUMBERS = 2**26
"""Numbers a held-out set's inputs may hold: 256 MiB as float32."""


@dataclass(frozen=True)
class GeneratedDataset:
    """Fresh sequences at every step; held-out sets from streams of their own."""

    task: Task
    seed: int
    draw: Callable[[np.random.Generator, int], Batch]
    """Makes that many sequences from a generator, and from nothing else."""

    def batch(self, step: int, size: int) -> Batch:
        """Training batch of one step (counted from 1): `size` sequences."""
        return self.draw(draws(self.seed, "train", step), size)

    def validation(self) -> Batch:
        """Held-out sequences for the evaluations while training; the same at every call."""
        return self._held_out("validation")

    def test(self) -> Batch:
        """Held-out sequences for the final loss; the same at every call."""
        return self._held_out("test")

    def _held_out(self, purpose: Purpose) -> Batch:
        fitting = sequences_held_out(self.task.seq_len * self.task.input_size)
        return self.draw(draws(self.seed, purpose), min(HELD_OUT_SEQUENCES, fitting))


def sequences_held_out(numbers: int) -> int:
    """How many sequences of so many numbers each a held-out set may hold; at least one."""
    return max(1, HELD_OUT_NUMBERS // numbers)


def one_hot(symbols: NDArray[np.int64], size: int) -> Floats:
    """Symbols from 0 to size - 1 as float32 vectors of length `size` on a new last axis."""
    return np.eye(size, dtype=np.float32)[symbols]
