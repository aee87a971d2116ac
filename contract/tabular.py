"""What gateway and worker share about a stored table: how it comes in, is summed up, is read."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal

import pyarrow
import pyarrow.compute
import pyarrow.parquet
from pydantic import BaseModel, ConfigDict

from contract.csv_blocks import (
    TableError,
    TableLimitError,
    TableLimits,
    check_text,
    read_blocks,
    settle_types,
)

__all__ = [
    "ColumnSummary", "ColumnType", "Preview", "Scalar", "TableError", "TableLimitError",
    "TableLimits", "TableSummary", "ingest", "read_table",
]  # fmt: skip

ColumnType = Literal["number", "integer", "text", "boolean", "datetime"]
Scalar = bool | int | float | str | None

_PREVIEW_ROWS = 5
_PREVIEW_CHARACTERS = 200
_CSV_SUFFIXES = frozenset({"", ".csv", ".txt"})


class ColumnSummary(BaseModel):
    """One column of a table."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    name: str
    type: ColumnType
    missing: int
    """Empty cells; in a column of numbers also "NA", "NaN" and the like."""
    nonfinite: int
    """Infinities; 0 in a column that is not of numbers."""
    min: int | float | str | None
    """Least finite value, a datetime as text; null for other types and if there is none."""
    max: int | float | str | None
    """Largest finite value, likewise."""


class Preview(BaseModel):
    """The first rows of a table."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    columns: tuple[str, ...]
    """Their names, in the file's order."""
    rows: tuple[tuple[Scalar, ...], ...]
    """Their cells; null where missing or not finite, a long text cut."""


@dataclass(frozen=True)
class TableSummary:
    """What there is to know about a table without reading it again."""

    rows: int
    columns: tuple[ColumnSummary, ...]
    preview: Preview


def ingest(source: Path, filename: str, destination: Path, limits: TableLimits) -> TableSummary:
    """Turn an uploaded CSV file into Parquet, block by block.

    Args:
        source: the upload.
        filename: what the client called it; only its ending is looked at.
        destination: Parquet file to write; not there if this raises.
        limits: largest table that is accepted.

    Raises:
        TableError: the file is not a table that can be read.
        TableLimitError: the table is too large.
    """
    if PurePath(filename).suffix.lower() not in _CSV_SUFFIXES:
        raise TableError("only CSV files are accepted: the file's name must end in .csv")
    check_text(source)
    # Read twice, so that no block is written in a type that a later block proves too narrow.
    types = settle_types(source, limits)
    try:
        return _store(read_blocks(source, types, limits), types, destination)
    except BaseException:
        destination.unlink(missing_ok=True)
        raise


def read_table(path: Path) -> pyarrow.Table:
    """A stored table, whole."""
    return pyarrow.parquet.read_table(path)


def _store(
    blocks: Iterator[pyarrow.RecordBatch], types: dict[str, pyarrow.DataType], destination: Path
) -> TableSummary:
    rows = 0
    first_rows: list[tuple[Scalar, ...]] = []
    columns = {name: _Column(type_) for name, type_ in types.items()}
    with pyarrow.parquet.ParquetWriter(destination, pyarrow.schema(types)) as writer:
        for block in blocks:
            writer.write_batch(block)
            rows += block.num_rows
            first_rows += _preview_rows(block.slice(0, _PREVIEW_ROWS - len(first_rows)))
            for name, column in columns.items():
                column.add(block.column(name))
    return TableSummary(
        rows=rows,
        columns=tuple(column.summary(name) for name, column in columns.items()),
        preview=Preview(columns=tuple(types), rows=tuple(first_rows)),
    )


def _preview_rows(block: pyarrow.RecordBatch) -> list[tuple[Scalar, ...]]:
    return list(zip(*(_scalars(column) for column in block.columns), strict=True))


def _scalars(values: pyarrow.Array) -> list[Scalar]:
    """Values as JSON knows them."""
    if pyarrow.types.is_temporal(values.type):
        values = values.cast(pyarrow.string())  # Python's datetime has no nanoseconds
    return [_scalar(value) for value in values.to_pylist()]


def _scalar(value: Scalar) -> Scalar:
    if isinstance(value, str) and len(value) > _PREVIEW_CHARACTERS:
        return value[: _PREVIEW_CHARACTERS - 1] + "…"
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass
class _Column:
    """Sums up a column as its blocks pass."""

    type: pyarrow.DataType
    missing: int = 0
    nonfinite: int = 0
    extremes: list[pyarrow.Array] = field(default_factory=list)
    """Least and largest value of each block; both null if it has none."""

    def add(self, values: pyarrow.Array) -> None:
        self.missing += values.null_count
        if pyarrow.types.is_string(self.type):
            self.missing += pyarrow.compute.sum(pyarrow.compute.equal(values, "")).as_py() or 0
            return
        present = values.drop_null()
        if pyarrow.types.is_floating(self.type):
            finite = present.filter(pyarrow.compute.is_finite(present))
            self.nonfinite += len(present) - len(finite)
            present = finite
        if not pyarrow.types.is_boolean(self.type):
            self.extremes.append(_extremes(present))

    def summary(self, name: str) -> ColumnSummary:
        least = largest = None
        if self.extremes:
            least, largest = _scalars(_extremes(pyarrow.concat_arrays(self.extremes)))
        return ColumnSummary(
            name=name,
            type=_column_type(self.type),
            missing=self.missing,
            nonfinite=self.nonfinite,
            min=least,
            max=largest,
        )


def _extremes(values: pyarrow.Array) -> pyarrow.Array:
    pair = pyarrow.compute.min_max(values)
    return pyarrow.array([pair["min"], pair["max"]], type=values.type)


def _column_type(type_: pyarrow.DataType) -> ColumnType:
    if pyarrow.types.is_floating(type_):
        return "number"
    if pyarrow.types.is_integer(type_):
        return "integer"
    if pyarrow.types.is_boolean(type_):
        return "boolean"
    return "text" if pyarrow.types.is_string(type_) else "datetime"
