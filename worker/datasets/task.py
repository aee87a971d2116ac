"""What a dataset is to the trainer: batches of sequences, and what counts as learned.

Shapes: N sequences (a batch or a held-out set), T time steps, S of them with an answer due,
I input features, O outputs.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Targets = NDArray[np.float32] | NDArray[np.int64]


class DatasetInvalidError(Exception):
    """The data cannot be trained on; the message says why and is shown to the client."""


@dataclass(frozen=True)
class Batch:
    """Sequences and what is to be said after each of their last S steps."""

    x_NTI: Floats
    """Inputs, float32."""
    target: Targets
    """(N, S) int64 class numbers for cross entropy, (N, S, O) float32 values for squared error."""


@dataclass(frozen=True)
class Task:
    """The question a dataset asks, and how an answer is judged."""

    loss: Literal["cross_entropy", "squared_error"]
    input_size: int
    """I."""
    output_size: int
    """O: classes, or values predicted."""
    seq_len: int
    """T."""
    dependency: int | None
    """Time steps between what must be remembered and the answer; None if not known."""
    baseline: float
    """Held-out loss of doing nothing, in the task's own units."""
    learned_below: float
    """Held-out loss, in the same units, from which on the task counts as learned."""
    unit_scale: float = 1.0
    """Factor from the loss that is trained on to the task's own units."""
    target_steps: int = 1
    """S, from 1 to T: after each of the last S time steps an answer is due; the loss is the mean
    over them."""


class Dataset(Protocol):
    """A source of batches; the same seed and step give the same batch, however one got there."""

    @property
    def task(self) -> Task:
        """What is asked."""

    def batch(self, step: int, size: int) -> Batch:
        """Training batch of one step (counted from 1): `size` sequences."""

    def validation(self) -> Batch:
        """Held-out sequences for the evaluations while training; the same at every call."""

    def test(self) -> Batch:
        """Held-out sequences for the final loss; the same at every call."""
