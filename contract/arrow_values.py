"""Values of any of Arrow's flat types in the few that a table holds."""

from collections.abc import Callable
from typing import Final

import pyarrow as pa
from pyarrow import compute

from contract.column_types import Values

_OWN_TYPES: Final[tuple[tuple[Callable[[pa.DataType], bool], pa.DataType], ...]] = (
    (pa.types.is_integer, pa.int64()),
    (pa.types.is_null, pa.int64()),
    (pa.types.is_floating, pa.float64()),
    (pa.types.is_decimal, pa.float64()),
    (pa.types.is_boolean, pa.bool_()),
    (pa.types.is_date, pa.timestamp("us")),
    (pa.types.is_string, pa.string()),
    (pa.types.is_large_string, pa.string()),
)
# Microseconds of the years 1 to 9999: what a Python datetime, and so our answer, can hold.
_EARLIEST, _LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999


def own_type(found: pa.DataType) -> pa.DataType | None:
    """The type, one of `column_types.TYPES`, that holds values of a type; None if none does."""
    if isinstance(found, pa.DictionaryType):
        found = found.value_type
    if isinstance(found, pa.TimestampType):
        return pa.timestamp("us", tz="UTC" if found.tz else None)
    return next((own for is_kind, own in _OWN_TYPES if is_kind(found)), None)


def own_values(values: Values, data_type: pa.DataType) -> Values:
    """Values in the type that `own_type` gave; NaN becomes null, as in a CSV file.

    Raises:
        pyarrow.ArrowInvalid: if a value is too large for it.
    """
    # Of a time that is finer than a microsecond the rest is cut off.
    is_finer = isinstance(values.type, pa.TimestampType) and values.type.unit == "ns"
    own: Values = values.cast(data_type, safe=not is_finer)
    if pa.types.is_floating(data_type):
        own = compute.if_else(compute.is_nan(own), pa.scalar(None, data_type), own)
    if isinstance(data_type, pa.TimestampType):
        _check_years(own)
    return own


def _check_years(times: Values) -> None:
    moments = times.cast(pa.int64()).drop_null()
    if len(moments) == 0:
        return
    first, last = compute.min(moments).as_py(), compute.max(moments).as_py()
    if first < _EARLIEST or last > _LATEST:
        raise pa.ArrowInvalid("a time lies outside the years 1 to 9999")
