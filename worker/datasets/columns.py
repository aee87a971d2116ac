"""Columns of a stored table, checked and in order.

Shapes: R rows.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from worker.datasets.task import DatasetInvalidError


def check_present(table: pa.Table, name: str) -> None:
    """Refuse a column that is not there or has missing values.

    Raises:
        DatasetInvalidError: naming the column.
    """
    if name not in table.column_names:
        raise DatasetInvalidError(f"There is no column {name!r} in this dataset.")
    missing = table.column(name).null_count
    if missing:
        raise DatasetInvalidError(f"Column {name!r} has {missing} missing values.")


def numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """A numeric column's values, all finite.

    Raises:
        DatasetInvalidError: if the column is not numeric or has values that are not finite.
    """
    column = table.column(name)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise DatasetInvalidError(f"Column {name!r} is not numeric.")
    numbers_R = np.asarray(column.to_numpy(), dtype=np.float64)
    nonfinite = int(np.count_nonzero(~np.isfinite(numbers_R)))
    if nonfinite:
        raise DatasetInvalidError(f"Column {name!r} has {nonfinite} values that are not finite.")
    return numbers_R


def in_order(
    table: pa.Table, group: str | None, time: str | None
) -> tuple[pa.Table, NDArray[np.int64]]:
    """The rows group by group, each in the order of time.

    Args:
        table: the rows, neither key with missing values.
        group: column whose values tell groups apart; None if all rows are one group.
        time: column of numbers or datetimes; None if the rows of a group are in order already.

    Returns:
        The ordered rows, and the edges: the first row of each group, then the number of rows.

    Raises:
        DatasetInvalidError: if a time cannot be ordered or occurs twice within a group.
    """
    if time is not None:
        _check_sortable(table, time)
    keys = [name for name in (group, time) if name is not None]
    ordered = table.sort_by([(name, "ascending") for name in keys]) if keys else table
    starts_R = _starts(ordered, group)
    if time is not None:
        _check_times_differ(ordered, time, starts_R)
    return ordered, np.append(np.flatnonzero(starts_R), table.num_rows)


def _starts(table: pa.Table, group: str | None) -> NDArray[np.bool_]:
    """Whether a new group starts at each row."""
    starts_R = np.zeros(table.num_rows, dtype=np.bool_)
    starts_R[:1] = True
    if group is not None:
        ids_R = table.column(group).to_numpy()
        starts_R[1:] = ids_R[1:] != ids_R[:-1]
    return starts_R


def _check_sortable(table: pa.Table, time: str) -> None:
    # Text would sort by its letters: "10 May" before "9 May".
    if not pa.types.is_temporal(table.column(time).type):
        numbers(table, time)


def _check_times_differ(table: pa.Table, time: str, starts_R: NDArray[np.bool_]) -> None:
    times_R = table.column(time).to_numpy()
    repeated_R = np.flatnonzero((times_R[1:] == times_R[:-1]) & ~starts_R[1:])
    if repeated_R.size:
        value = table.column(time)[int(repeated_R[0])].as_py()
        raise DatasetInvalidError(f"Column {time!r} has {value} more than once within a series.")
