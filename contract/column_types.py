"""Which type a column of text has, and its values in that type."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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

# What a column can be that holds text by the file's own word.
_QUOTED: frozenset[ColumnType] = frozenset({"datetime", "text"})

# Empty cells, NA, NaN, null and their like, as the CSV reader itself would have it.
_MISSING = pa.array(csv.ConvertOptions().null_values or [], pa.string())

# Quoted, because pyarrow's own classes take no type argument at run time.
Values: TypeAlias = "pa.Array[Any]"
"""A column's values in one block."""


@dataclass(frozen=True)
class TextBlock:
    """Some rows of a file, every cell as text."""

    columns: Sequence[Values]
    quoted: frozenset[int] = frozenset()
    """Places of the columns that hold text by the file's own word: no number, no boolean."""


def narrowest_types(blocks: Iterable[TextBlock]) -> list[pa.DataType]:
    """For each column the first of TYPES that fits all its cells; empty if there is no row."""
    fitting: list[tuple[pa.DataType, ...]] = []
    for block in blocks:
        if len(block.columns[0]) == 0:
            continue
        fitting = fitting or [tuple(TYPES)] * len(block.columns)
        fitting = [
            _fitting_types(text, candidates, is_quoted=place in block.quoted)
            for place, (text, candidates) in enumerate(zip(block.columns, fitting, strict=True))
        ]
    return [candidates[0] for candidates in fitting]


def typed_block(columns: Sequence[Values], schema: pa.Schema) -> pa.RecordBatch:
    """Columns of text in the types of a schema."""
    values = [typed(text, data_type) for text, data_type in zip(columns, schema.types, strict=True)]
    return pa.RecordBatch.from_arrays(values, schema=schema)


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


def _fitting_types(
    text: Values, candidates: tuple[pa.DataType, ...], *, is_quoted: bool
) -> tuple[pa.DataType, ...]:
    """Those of the candidates that all these cells can be read as, in the same order."""
    return tuple(
        candidate
        for candidate in candidates
        if (not is_quoted or TYPES[candidate] in _QUOTED) and _fits(text, candidate)
    )


def _fits(text: Values, data_type: pa.DataType) -> bool:
    try:
        typed(text, data_type)
    except pa.ArrowInvalid:
        return False
    return True
