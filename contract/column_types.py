"""Which type a column of text has, and its values in that type."""

import math
from datetime import datetime
from typing import Any, Literal, TypeAlias

import pyarrow as pa
from pyarrow import compute, csv

ColumnType = Literal["integer", "number", "boolean", "datetime", "text"]
Cell = bool | int | float | str | None
"""One value, as JSON can hold it."""

TYPES: dict[pa.DataType, ColumnType] = {
    pa.int64(): "integer",
    pa.float64(): "number",
    pa.bool_(): "boolean",
    pa.timestamp("us"): "datetime",
    pa.timestamp("us", tz="UTC"): "datetime",
    pa.string(): "text",
}
"""What a column can be, the narrowest first; the last fits everything."""

# Empty cells, NA, NaN, null and their like, as the CSV reader itself would have it.
_MISSING = pa.array(csv.ConvertOptions().null_values or [], pa.string())

# Quoted, because pyarrow's own classes take no type argument at run time.
Values: TypeAlias = "pa.Array[Any]"
"""A column's values in one block."""


def fitting_types(text: Values, candidates: tuple[pa.DataType, ...]) -> tuple[pa.DataType, ...]:
    """Those of the candidates that all these cells can be read as, in the same order."""
    return tuple(candidate for candidate in candidates if _fits(text, candidate))


def typed(text: Values, data_type: pa.DataType) -> Values:
    """Cells of text as values; empty cells and words such as NA become null.

    Spaces around a value are no part of it, except in a column of text.

    Raises:
        pyarrow.ArrowInvalid: if a cell is not of that type.
    """
    stripped = compute.utf8_trim_whitespace(text)
    is_missing = compute.is_in(stripped, value_set=_MISSING)
    kept = text if pa.types.is_string(data_type) else stripped
    present: Values = compute.if_else(is_missing, pa.scalar(None, pa.string()), kept)
    return present.cast(data_type)


def json_cell(value: object) -> Cell:
    """A value as JSON can hold it: times in ISO 8601, null for what is not finite."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"no column holds a {type(value).__name__}")


def _fits(text: Values, data_type: pa.DataType) -> bool:
    try:
        typed(text, data_type)
    except pa.ArrowInvalid:
        return False
    return True
