"""Forecasting: predict the next values of a column from the rows before them.

Shapes: R rows of all series, N windows, T = seq_len rows of a window, I input columns,
O = horizon values predicted.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.spec import Forecast
from worker.datasets.draws import draws
from worker.datasets.generated import HELD_OUT_NUMBERS, HELD_OUT_SEQUENCES
from worker.datasets.series import Series, read_series
from worker.datasets.task import Batch, DatasetInvalidError, Floats, Task

_TRAIN_PERCENT = 70
_VALIDATION_PERCENT = 15

Rows = NDArray[np.int64]


class _Split(NamedTuple):
    """Rows at which the predicted values of each window begin."""

    train: Rows
    validation: Rows
    test: Rows


@dataclass(frozen=True)
class ForecastDataset:
    """Windows of stored series, scaled; training windows are drawn with replacement."""

    task: Task
    seed: int
    inputs_RI: Floats
    """Every row, scaled."""
    target_R: Floats
    """The column to predict, scaled."""
    split: _Split

    def batch(self, step: int, size: int) -> Batch:
        """Training batch of one step (counted from 1): `size` windows."""
        chosen = draws(self.seed, "train", step).integers(0, len(self.split.train), size)
        return self._windows(self.split.train[chosen])

    def validation(self) -> Batch:
        """Windows whose predicted values lie in the 15 % of rows after the training rows."""
        return self._windows(self.split.validation)

    def test(self) -> Batch:
        """Windows whose predicted values lie in the last 15 % of rows."""
        return self._windows(self.split.test)

    def _windows(self, first_N: Rows) -> Batch:
        past_NT = first_N[:, np.newaxis] + np.arange(-self.task.seq_len, 0)
        return Batch(
            self.inputs_RI[past_NT], self.target_R[_future(first_N, self.task.output_size)]
        )


def make_forecast(spec: Forecast, seed: int, table: pa.Table) -> ForecastDataset:
    """Windows of a stored table, split by time within each series: 70 % / 15 % / 15 % of its rows.

    The values a window predicts lie strictly inside its split; the rows it sees may reach back
    into the split before. Every column is scaled by the mean and standard deviation of the
    training rows alone. Held-out sets are all their windows, or 2,048 evenly spaced ones.

    The baseline is persistence on the test windows: every next value is the last one seen. Its
    mean squared error, and the task's loss, are in the square of the data's own unit; learned is
    anything better.

    Raises:
        DatasetInvalidError: the table is not what the spec needs, or has too few rows.
    """
    series = read_series(table, spec)
    split = _split(series, spec)
    is_train_R = _training_rows(series)
    target_R = series.values[spec.target]
    scaled = {name: _scaled(name, values_R, is_train_R) for name, values_R in series.values.items()}
    std = _mean_and_std(target_R[is_train_R])[1]
    baseline = _persistence_error(target_R, split.test, spec)
    task = Task(
        loss="squared_error",
        input_size=len(spec.inputs),
        output_size=spec.horizon,
        seq_len=spec.seq_len,
        dependency=None,
        baseline=baseline,
        learned_below=baseline,
        unit_scale=std**2,
    )
    inputs_RI = np.stack([scaled[name] for name in spec.inputs], axis=1)
    return ForecastDataset(task, seed, inputs_RI, scaled[spec.target], split)


def _ends(rows: int) -> tuple[int, int]:
    """End of the training rows and of the validation rows of a series."""
    return (
        rows * _TRAIN_PERCENT // 100,
        rows * (_TRAIN_PERCENT + _VALIDATION_PERCENT) // 100,
    )


def _split(series: Series, spec: Forecast) -> _Split:
    parts = [_starts(start, end, spec) for start, end in series.bounds]
    train, validation, test = (np.concatenate(part) for part in zip(*parts, strict=True))
    if not (len(train) and len(validation) and len(test)):
        longest = max(end - start for start, end in series.bounds)
        raise DatasetInvalidError(
            f"too few rows: the longest series has {longest}; seq_len {spec.seq_len} and horizon "
            f"{spec.horizon} need at least {_rows_needed(spec)}"
        )
    return _Split(train, _held_out(validation, spec), _held_out(test, spec))


def _starts(start: int, end: int, spec: Forecast) -> _Split:
    """The windows of one series."""
    train_end, validation_end = (start + part for part in _ends(end - start))
    first = start + spec.seq_len  # before it there are not enough rows to see

    def between(low: int, high: int) -> Rows:
        return np.arange(max(first, low), high - spec.horizon + 1, dtype=np.int64)

    return _Split(
        train=between(start, train_end),
        validation=between(train_end, validation_end),
        test=between(validation_end, end),
    )


def _rows_needed(spec: Forecast) -> int:
    """Fewest rows of a series that has a window in every split."""
    rows = spec.seq_len + spec.horizon
    while any(len(starts) == 0 for starts in _starts(0, rows, spec)):
        rows += 1
    return rows


def _held_out(starts_N: Rows, spec: Forecast) -> Rows:
    fitting = HELD_OUT_NUMBERS // (spec.seq_len * len(spec.inputs))
    count = min(len(starts_N), HELD_OUT_SEQUENCES, max(1, fitting))
    return starts_N[np.linspace(0, len(starts_N) - 1, count).round().astype(np.int64)]


def _future(first_N: Rows, horizon: int) -> NDArray[np.int64]:
    future_NO: NDArray[np.int64] = first_N[:, np.newaxis] + np.arange(horizon)
    return future_NO


def _training_rows(series: Series) -> NDArray[np.bool_]:
    is_train_R = np.zeros(series.bounds[-1][1], dtype=np.bool_)
    for start, end in series.bounds:
        is_train_R[start : start + _ends(end - start)[0]] = True
    return is_train_R


def _mean_and_std(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and population standard deviation, 1 if the values are all the same."""
    return float(values.mean()), float(values.std()) if np.ptp(values) > 0 else 1.0


def _scaled(name: str, values_R: NDArray[np.float64], is_train_R: NDArray[np.bool_]) -> Floats:
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        mean, std = _mean_and_std(values_R[is_train_R])
        scaled_R = ((values_R - mean) / std).astype(np.float32)
    if not (np.isfinite(scaled_R).all() and np.isfinite(std * std)):
        raise DatasetInvalidError(
            f"column '{name}' cannot be scaled: its values are too large, or far from those of "
            "the training rows"
        )
    return scaled_R


def _persistence_error(target_R: NDArray[np.float64], first_N: Rows, spec: Forecast) -> float:
    last_N1 = target_R[first_N - 1][:, np.newaxis]
    error = float(np.square(target_R[_future(first_N, spec.horizon)] - last_N1).mean())
    if error == 0:
        raise DatasetInvalidError(
            f"column '{spec.target}' never changes over the test rows: nothing is left to forecast"
        )
    return error
