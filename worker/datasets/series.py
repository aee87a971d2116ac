"""Reads one or more time series out of a table, in order, and refuses what is not one.

Shapes: R rows of the table, sorted.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contract.spec import Forecast
from worker.datasets.task import DatasetInvalidError


@dataclass(frozen=True)
class Series:
    """The rows of all series, one series after the other, each in order of time."""

    values: dict[str, NDArray[np.float64]]
    """(R,) of each column that is needed, in the data's own units; all finite."""
    bounds: list[tuple[int, int]]
    """First row and end of each series."""


def read_series(table: pa.Table, spec: Forecast) -> Series:
    """The columns a forecast needs, sorted by series and time.

    Without a time column the rows keep their order; without a series column all are one series.

    Raises:
        DatasetInvalidError: a column is not there, is not of numbers, or has missing or infinite
            values; a time is missing, not sortable, or twice in one series.
    """
    series_R = _series_numbers(table, spec.series_id)
    time_R = _times(table, spec.time)
    order_R = np.lexsort((time_R, series_R))
    series_R, time_R = series_R[order_R], time_R[order_R]
    starts = np.flatnonzero(np.diff(series_R, prepend=-1))
    if spec.time is not None:
        _check_times_differ(series_R, time_R, spec.time)
    return Series(
        values={name: _numbers(table, name)[order_R] for name in (*spec.inputs, spec.target)},
        bounds=list(zip(starts.tolist(), [*starts[1:].tolist(), len(order_R)], strict=True)),
    )


def _column(table: pa.Table, name: str) -> "pa.ChunkedArray[pa.Scalar[pa.DataType]]":
    """A column without missing values."""
    if name not in table.column_names:
        names = ", ".join(table.column_names)
        raise DatasetInvalidError(f"the dataset has no column '{name}'; it has: {names}")
    column = table.column(name)
    if column.null_count:
        raise DatasetInvalidError(f"column '{name}' has {column.null_count} missing values")
    return column


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    column = _column(table, name)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise DatasetInvalidError(f"column '{name}' is not of numbers but of {column.type}")
    numbers_R = column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)
    if infinite := int(np.count_nonzero(~np.isfinite(numbers_R))):
        raise DatasetInvalidError(f"column '{name}' has {infinite} values that are not finite")
    return numbers_R


def _series_numbers(table: pa.Table, name: str | None) -> NDArray[np.int64]:
    """Which series each row belongs to, numbered as they first appear."""
    if name is None:
        return np.zeros(table.num_rows, dtype=np.int64)
    column = _column(table, name).combine_chunks()
    return pc.index_in(column, value_set=pc.unique(column)).to_numpy().astype(np.int64)


def _times(table: pa.Table, name: str | None) -> NDArray[np.int64] | NDArray[np.float64]:
    """A number for each row's time; its unit does not matter, only the order does."""
    if name is None:
        return np.arange(table.num_rows)
    column = _column(table, name)
    if not pa.types.is_temporal(column.type):
        return _numbers(table, name)
    whole = pa.int32() if pa.types.is_date32(column.type) else pa.int64()
    return column.cast(whole).to_numpy().astype(np.int64)


def _check_times_differ(
    series_R: NDArray[np.int64], time_R: NDArray[np.int64] | NDArray[np.float64], name: str
) -> None:
    twice = (np.diff(series_R) == 0) & (np.diff(time_R) == 0)
    if count := int(np.count_nonzero(twice)):
        raise DatasetInvalidError(
            f"column '{name}' has the same time twice within one series, {count} times over; "
            "if the file holds several series, name the column that tells them apart as series_id"
        )
