"""Forecasting an uploaded table: from a window of rows to the target's next values.

Shapes: N windows, T rows of a window (seq_len), I input columns, O values ahead (horizon),
R rows of all series, P positions, each the row of a window's first predicted value.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.spec import Forecast
from contract.spec.dataset import TEST_PERCENT, TRAIN_PERCENT, rows_needed
from worker.datasets.draws import draws
from worker.datasets.generated import HELD_OUT_NUMBERS, HELD_OUT_SEQUENCES
from worker.datasets.series import read_series
from worker.datasets.task import Batch, DatasetInvalidError, Floats, Task

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class _Split:
    """Rows at which the predicted values of each window begin."""

    train_P: Positions
    validation_P: Positions
    test_P: Positions
    train_rows: Positions
    """Every row of the training split, inside a window or not."""


@dataclass(frozen=True)
class ForecastDataset:
    """Windows of a table; those for training are drawn at random, with replacement."""

    task: Task
    seed: int
    inputs_RI: Floats
    target_R: Floats
    split: _Split

    def batch(self, step: int, size: int) -> Batch:
        """Training batch of one step (counted from 1): `size` windows."""
        train_P = self.split.train_P
        drawn_N = draws(self.seed, "train", step).integers(0, len(train_P), size)
        return self._windows(train_P[drawn_N])

    def validation(self) -> Batch:
        """Windows of the validation split, evenly thinned out to 2,048 at most."""
        return self._windows(self.split.validation_P)

    def test(self) -> Batch:
        """Windows of the test split: all of them, unless they would not fit into memory."""
        return self._windows(self.split.test_P)

    def _windows(self, position_N: Positions) -> Batch:
        position_N1 = position_N[:, np.newaxis]
        seen_NT = position_N1 + np.arange(-self.task.seq_len, 0)
        ahead_NO = position_N1 + np.arange(self.task.output_size)
        return Batch(self.inputs_RI[seen_NT], self.target_R[ahead_NO])


def make_forecast(spec: Forecast, table: pa.Table, seed: int) -> ForecastDataset:
    """Split a table by time, scale it by its training rows, and cut it into windows.

    The first 70 % of each series' rows are for training, the last 15 % for the test, those
    between for validation (whole rows, the first two numbers rounded down). A window belongs to
    the split that holds all the values it predicts; its inputs may reach back into the split
    before. A series too short for a window in each split is left out.

    Inputs and target are scaled to mean 0 and standard deviation 1 over the training rows; a
    column that is constant there is only shifted. The baseline is persistence: the mean squared
    error, in the target's own units, of repeating the last value on the test windows.

    Raises:
        DatasetInvalidError: if the table does not fit the spec; the message says how.
    """
    rows = read_series(table, spec)
    split = _split(rows.bounds, spec)
    scaled_RI, _ = _scaled(rows.inputs_RI, split.train_rows)
    scaled_R1, deviation = _scaled(rows.target_R[:, np.newaxis], split.train_rows)
    baseline = _persistence_error(rows.target_R, split.test_P, spec.horizon)
    unit_scale = float(deviation[0]) ** 2
    if not (np.isfinite(scaled_RI).all() and np.isfinite([*scaled_R1[:, 0], unit_scale]).all()):
        raise DatasetInvalidError("The values are too large to be scaled; change their unit.")
    if baseline == 0:
        raise DatasetInvalidError(
            f"Column {spec.target!r} never changes in the test rows: there is nothing to predict."
        )
    task = Task(
        loss="squared_error",
        input_size=len(spec.inputs),
        output_size=spec.horizon,
        seq_len=spec.seq_len,
        dependency=None,
        baseline=baseline,
        learned_below=baseline,
        unit_scale=unit_scale,
    )
    return ForecastDataset(task, seed, scaled_RI, scaled_R1[:, 0], split)


def _split(bounds: list[tuple[int, int]], spec: Forecast) -> _Split:
    needed = rows_needed(spec.seq_len, spec.horizon)
    used = [(first, end) for first, end in bounds if end - first >= needed]
    if not used:
        longest = max((end - first for first, end in bounds), default=0)
        raise DatasetInvalidError(
            f"Too few rows: seq_len {spec.seq_len} and horizon {spec.horizon} need {needed} rows "
            f"in a series, the longest has {longest}."
        )
    train, validation, test, train_rows = [], [], [], []
    for first, end in used:
        train_end = first + (end - first) * TRAIN_PERCENT // 100
        test_start = end - (end - first) * TEST_PERCENT // 100
        train_rows.append(np.arange(first, train_end))
        train.append(np.arange(first + spec.seq_len, train_end - spec.horizon + 1))
        validation.append(np.arange(train_end, test_start - spec.horizon + 1))
        test.append(np.arange(test_start, end - spec.horizon + 1))
    fitting = max(1, HELD_OUT_NUMBERS // (spec.seq_len * len(spec.inputs) + spec.horizon))
    return _Split(
        train_P=np.concatenate(train),
        validation_P=_thinned(np.concatenate(validation), min(fitting, HELD_OUT_SEQUENCES)),
        test_P=_thinned(np.concatenate(test), fitting),
        train_rows=np.concatenate(train_rows),
    )


def _thinned(position_P: Positions, most: int) -> Positions:
    """At most so many positions, evenly spaced."""
    if len(position_P) <= most:
        return position_P
    return position_P[np.arange(most) * len(position_P) // most]


def _scaled(
    values_RI: NDArray[np.float64], train_rows: Positions
) -> tuple[Floats, NDArray[np.float64]]:
    """Values in standard deviations from the training mean, and those deviations."""
    train_RI = values_RI[train_rows]
    # Compared, not measured: the deviation of equal values can round to a little above zero.
    constant_I = train_RI.max(axis=0) == train_RI.min(axis=0)
    # Too large values become infinite here and are refused by the caller.
    with np.errstate(over="ignore", invalid="ignore"):
        mean_I = np.where(constant_I, train_RI[0], train_RI.mean(axis=0))
        deviation_I = np.where(constant_I, 1.0, train_RI.std(axis=0))
        return ((values_RI - mean_I) / deviation_I).astype(np.float32), deviation_I


def _persistence_error(target_R: NDArray[np.float64], position_P: Positions, horizon: int) -> float:
    ahead_PO = target_R[position_P[:, np.newaxis] + np.arange(horizon)]
    with np.errstate(over="ignore"):
        return float(np.mean((ahead_PO - target_R[position_P - 1, np.newaxis]) ** 2))
