"""The rows of a stored table as one or more series in the order of time, checked.

Shapes: R rows of all series, one series after the other; I input columns.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.spec import Forecast
from worker.datasets.task import DatasetInvalidError


@dataclass(frozen=True)
class SeriesRows:
    """Finite numbers, ordered; windows must not cross the bounds."""

    inputs_RI: NDArray[np.float64]
    target_R: NDArray[np.float64]
    bounds: list[tuple[int, int]]
    """First row and the row after the last of each series."""


def read_series(table: pa.Table, spec: Forecast) -> SeriesRows:
    """Pick, check and order what a forecast needs.

    Raises:
        DatasetInvalidError: if a column is unknown, not numeric, has missing or non-finite
            values, or if a time is neither number nor datetime or occurs twice within a series.
    """
    keys = [name for name in (spec.series_id, spec.time) if name is not None]
    for name in (*keys, spec.target, *spec.inputs):
        _check_present(table, name)
    if spec.time is not None:
        _check_sortable(table, spec.time)
    ordered = table.sort_by([(name, "ascending") for name in keys]) if keys else table
    starts_R = _starts(ordered, spec.series_id)
    if spec.time is not None:
        _check_times_differ(ordered, spec.time, starts_R)
    edges = [*np.flatnonzero(starts_R).tolist(), table.num_rows]
    return SeriesRows(
        inputs_RI=np.stack([_numbers(ordered, name) for name in spec.inputs], axis=1),
        target_R=_numbers(ordered, spec.target),
        bounds=list(pairwise(edges)),
    )


def _check_present(table: pa.Table, name: str) -> None:
    if name not in table.column_names:
        raise DatasetInvalidError(f"There is no column {name!r} in this dataset.")
    missing = table.column(name).null_count
    if missing:
        raise DatasetInvalidError(f"Column {name!r} has {missing} missing values.")


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    column = table.column(name)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise DatasetInvalidError(f"Column {name!r} is not numeric.")
    numbers_R = np.asarray(column.to_numpy(), dtype=np.float64)
    nonfinite = int(np.count_nonzero(~np.isfinite(numbers_R)))
    if nonfinite:
        raise DatasetInvalidError(f"Column {name!r} has {nonfinite} values that are not finite.")
    return numbers_R


def _starts(table: pa.Table, series_id: str | None) -> NDArray[np.bool_]:
    """Whether a new series starts at each row."""
    starts_R = np.zeros(table.num_rows, dtype=np.bool_)
    starts_R[:1] = True
    if series_id is not None:
        ids_R = table.column(series_id).to_numpy()
        starts_R[1:] = ids_R[1:] != ids_R[:-1]
    return starts_R


def _check_sortable(table: pa.Table, time: str) -> None:
    # Text would sort by its letters: "10 May" before "9 May".
    if not pa.types.is_temporal(table.column(time).type):
        _numbers(table, time)


def _check_times_differ(table: pa.Table, time: str, starts_R: NDArray[np.bool_]) -> None:
    times_R = table.column(time).to_numpy()
    repeated_R = np.flatnonzero((times_R[1:] == times_R[:-1]) & ~starts_R[1:])
    if repeated_R.size:
        value = table.column(time)[int(repeated_R[0])].as_py()
        raise DatasetInvalidError(f"Column {time!r} has {value} more than once within a series.")
