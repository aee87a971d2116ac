"""Windows over the rows of one or more series, split by time.

Shapes: N windows, T rows of a window (seq_len), I input columns, O values ahead,
R rows of all series, P positions, each the row of a window's first predicted value.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contract.spec.upload_task import TEST_PERCENT, TRAIN_PERCENT
from worker.datasets.draws import draws
from worker.datasets.generated import HELD_OUT_SEQUENCES, sequences_held_out
from worker.datasets.task import Batch, DatasetInvalidError, Floats, Task

TOO_LARGE = "The values are too large to be scaled; change their unit."

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Rows at which the predicted values of each window begin."""

    train_P: Positions
    validation_P: Positions
    """Evenly thinned out to 2,048 at most."""
    test_P: Positions
    """All of them, unless their windows would not fit into memory."""
    train_rows: Positions
    """Every row of the training split, inside a window or not."""


@dataclass(frozen=True)
class WindowDataset:
    """Windows of rows; those for training are drawn at random, with replacement."""

    task: Task
    seed: int
    inputs_RI: Floats
    target_R: Floats
    split: Split

    def batch(self, step: int, size: int) -> Batch:
        """Training batch of one step (counted from 1): `size` windows."""
        train_P = self.split.train_P
        drawn_N = draws(self.seed, "train", step).integers(0, len(train_P), size)
        return self._windows(train_P[drawn_N])

    def validation(self) -> Batch:
        """Windows of the validation split."""
        return self._windows(self.split.validation_P)

    def test(self) -> Batch:
        """Windows of the test split."""
        return self._windows(self.split.test_P)

    def _windows(self, position_N: Positions) -> Batch:
        position_N1 = position_N[:, np.newaxis]
        seen_NT = position_N1 + np.arange(-self.task.seq_len, 0)
        ahead_NO = position_N1 + np.arange(self.task.output_size)
        return Batch(self.inputs_RI[seen_NT], self.target_R[ahead_NO][:, np.newaxis])


def split_by_time(
    bounds: list[tuple[int, int]], seq_len: int, horizon: int, num_inputs: int
) -> Split:
    """The first 70 % of each series' rows for training, the last 15 % for the test.

    Those between are for validation (whole rows, the first two numbers rounded down). A window
    belongs to the split that holds all `horizon` rows from its position on; its inputs may reach
    back into the split before.

    Args:
        bounds: first row and the row after the last of each series, at least
            `contract.spec.upload_task.rows_needed` apart.
        seq_len: rows before the position.
        horizon: rows from the position on.
        num_inputs: columns of a window.
    """
    train, validation, test, train_rows = [], [], [], []
    for first, end in bounds:
        train_end = first + (end - first) * TRAIN_PERCENT // 100
        test_start = end - (end - first) * TEST_PERCENT // 100
        train_rows.append(np.arange(first, train_end))
        train.append(np.arange(first + seq_len, train_end - horizon + 1))
        validation.append(np.arange(train_end, test_start - horizon + 1))
        test.append(np.arange(test_start, end - horizon + 1))
    fitting = sequences_held_out(seq_len * num_inputs + horizon)
    return Split(
        train_P=np.concatenate(train),
        validation_P=thinned(np.concatenate(validation), min(fitting, HELD_OUT_SEQUENCES)),
        test_P=thinned(np.concatenate(test), fitting),
        train_rows=np.concatenate(train_rows),
    )


def thinned(position_P: Positions, most: int) -> Positions:
    """At most so many positions, evenly spaced."""
    if len(position_P) <= most:
        return position_P
    return position_P[np.arange(most) * len(position_P) // most]


def scaled(
    values_RI: NDArray[np.float64], train_rows: Positions
) -> tuple[Floats, NDArray[np.float64]]:
    """Values in standard deviations from the training mean, and those deviations.

    A column that is constant in the training rows is only shifted: its deviation counts as 1.

    Raises:
        DatasetInvalidError: if values are so large that float32 cannot hold them scaled.
    """
    train_RI = values_RI[train_rows]
    # Compared, not measured: the deviation of equal values can round to a little above zero.
    constant_I = train_RI.max(axis=0) == train_RI.min(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        mean_I = np.where(constant_I, train_RI[0], train_RI.mean(axis=0))
        deviation_I = np.where(constant_I, 1.0, train_RI.std(axis=0))
        scaled_RI = ((values_RI - mean_I) / deviation_I).astype(np.float32)
    if not (np.isfinite(deviation_I).all() and np.isfinite(scaled_RI).all()):
        raise DatasetInvalidError(TOO_LARGE)
    return scaled_RI, deviation_I
