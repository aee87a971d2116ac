"""Forecasting an uploaded table: from a window of rows to the target's next values.

Shapes: O values ahead (horizon), R rows of all series, P positions, each the row of a window's
first predicted value.
"""

import math

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.spec import Forecast
from contract.spec.upload_task import rows_needed
from worker.datasets.series import read_series
from worker.datasets.task import DatasetInvalidError, Task
from worker.datasets.windows import TOO_LARGE, Positions, WindowDataset, scaled, split_by_time


def make_forecast(spec: Forecast, table: pa.Table, seed: int) -> WindowDataset:
    """Split a table by time, scale it by its training rows, and cut it into windows.

    See `split_by_time` for which rows are for what; a series too short for a window in each split
    is left out. Inputs and target are scaled to mean 0 and standard deviation 1 over the training
    rows. The baseline is persistence: the mean squared error, in the target's own units, of
    repeating the last value on the test windows.

    Raises:
        DatasetInvalidError: if the table does not fit the spec; the message says how.
    """
    rows = read_series(table, spec)
    bounds = _long_enough(rows.bounds, spec)
    split = split_by_time(bounds, spec.seq_len, spec.horizon, len(spec.inputs))
    scaled_RI, _ = scaled(rows.inputs_RI, split.train_rows)
    scaled_R1, deviation = scaled(rows.target_R[:, np.newaxis], split.train_rows)
    baseline = _persistence_error(rows.target_R, split.test_P, spec.horizon)
    if not math.isfinite(baseline):
        raise DatasetInvalidError(TOO_LARGE)
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
        unit_scale=float(deviation[0]) ** 2,
    )
    return WindowDataset(task, seed, scaled_RI, scaled_R1[:, 0], split)


def _long_enough(bounds: list[tuple[int, int]], spec: Forecast) -> list[tuple[int, int]]:
    needed = rows_needed(spec.seq_len, spec.horizon)
    used = [(first, end) for first, end in bounds if end - first >= needed]
    if not used:
        longest = max((end - first for first, end in bounds), default=0)
        raise DatasetInvalidError(
            f"Too few rows: seq_len {spec.seq_len} and horizon {spec.horizon} need {needed} rows "
            f"in a series, the longest has {longest}."
        )
    return used


def _persistence_error(target_R: NDArray[np.float64], position_P: Positions, horizon: int) -> float:
    ahead_PO = target_R[position_P[:, np.newaxis] + np.arange(horizon)]
    with np.errstate(over="ignore"):
        return float(np.mean((ahead_PO - target_R[position_P - 1, np.newaxis]) ** 2))
