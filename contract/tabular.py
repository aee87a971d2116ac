"""Uploaded tables: from a CSV file to the Parquet file that is trained on, and its summary."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import compute, parquet
from pydantic import BaseModel, ConfigDict

from contract.column_types import TYPES, Cell, ColumnType, Values, fitting_types, json_cell, typed
from contract.csv_blocks import CsvFile, TableError, TableLimitError, TableLimits

__all__ = [
    "ColumnSummary", "Preview", "TableError", "TableLimitError", "TableLimits", "TableSummary",
    "ingest", "read_table",
]  # fmt: skip

_PREVIEW_ROWS = 5
_PREVIEW_CHARACTERS = 200
_TAB_SUFFIXES = {".tsv", ".tab"}

Extreme = int | float | datetime | None


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ColumnSummary(_Shown):
    """What one column holds."""

    name: str
    type: ColumnType
    """`integer` if every value is missing."""
    missing: int
    """Cells that are empty or say NA, NaN, null or the like."""
    nonfinite: int
    """Infinite values of a number column; 0 for every other type."""
    min: int | float | str | None
    """Smallest finite value, a datetime in ISO 8601; null for text, booleans and no value."""
    max: int | float | str | None
    """Largest finite value, in the same form."""


class Preview(_Shown):
    """The first rows of a table."""

    columns: tuple[str, ...]
    """The names, in the file's order."""
    rows: tuple[tuple[Cell, ...], ...]
    """At most 5 rows; null is missing or not finite, a text is cut after 200 characters."""


class TableSummary(_Shown):
    """What a table holds."""

    rows: int
    columns: tuple[ColumnSummary, ...]
    preview: Preview


def ingest(source: Path, filename: str, destination: Path, limits: TableLimits) -> TableSummary:
    """Turn a CSV file into a Parquet file, in memory that does not grow with its rows.

    The file is read twice: once to find the narrowest type that fits every cell of a column, once
    to write. Nothing is written if the file is refused.

    Args:
        source: the upload; the first row is the header.
        filename: the sender's name for it; `.tsv` and `.tab` mean that tabs separate cells.
        destination: where the Parquet file goes.
        limits: how large the table may be.

    Raises:
        TableError: if the file is no table.
        TableLimitError: if it exceeds a limit.
    """
    suffix = PurePosixPath(filename).suffix.lower()
    file = CsvFile(source, "\t" if suffix in _TAB_SUFFIXES else ",", limits)
    names = file.column_names()
    schema = pa.schema(list(zip(names, _types(file, len(names)), strict=True)))
    tallies = [_Tally(data_type) for data_type in schema.types]
    preview: list[tuple[Cell, ...]] = []
    num_rows = 0
    with parquet.ParquetWriter(destination, schema) as writer:
        for block in _typed_blocks(file, schema):
            writer.write_batch(block)
            num_rows += block.num_rows
            preview.extend(_first_rows(block, _PREVIEW_ROWS - len(preview)))
            for tally, column in zip(tallies, block.columns, strict=True):
                tally.add(column)
    columns = tuple(tally.summary(name) for tally, name in zip(tallies, names, strict=True))
    return TableSummary(
        rows=num_rows, columns=columns, preview=Preview(columns=names, rows=tuple(preview))
    )


def read_table(path: Path) -> pa.Table:
    """A stored table, whole.

    Raises:
        FileNotFoundError: if there is none.
    """
    return parquet.read_table(path)


def _types(file: CsvFile, num_columns: int) -> list[pa.DataType]:
    fitting = [tuple(TYPES)] * num_columns
    for block in file.blocks():
        fitting = [
            fitting_types(text, candidates)
            for text, candidates in zip(block.columns, fitting, strict=True)
        ]
    return [candidates[0] for candidates in fitting]


def _typed_blocks(file: CsvFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for block in file.blocks():
        columns = [
            typed(text, data_type)
            for text, data_type in zip(block.columns, schema.types, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _first_rows(block: pa.RecordBatch, count: int) -> list[tuple[Cell, ...]]:
    columns = [column.slice(0, count).to_pylist() for column in block.columns]
    return [
        tuple(_shortened(json_cell(value)) for value in row) for row in zip(*columns, strict=True)
    ]


def _shortened(cell: Cell) -> Cell:
    return cell[:_PREVIEW_CHARACTERS] if isinstance(cell, str) else cell


@dataclass
class _Tally:
    """What has been counted of one column so far."""

    data_type: pa.DataType
    missing: int = 0
    nonfinite: int = 0
    smallest: Extreme = None
    largest: Extreme = None
    """Over the finite values; None before the first."""

    def add(self, column: Values) -> None:
        """Count the values of one more block."""
        self.missing += column.null_count
        if TYPES[self.data_type] in {"text", "boolean"}:
            return
        values = column.drop_null()
        if pa.types.is_floating(self.data_type):
            finite = values.filter(compute.is_finite(values))
            self.nonfinite += len(values) - len(finite)
            values = finite
        if len(values):
            # Python's own numbers and times, both of the one type this column has.
            known = [value for value in (self.smallest, self.largest) if value is not None]
            seen = [compute.min(values).as_py(), compute.max(values).as_py(), *known]
            self.smallest, self.largest = min(seen), max(seen)

    def summary(self, name: str) -> ColumnSummary:
        """What has been counted, under the column's name."""
        return ColumnSummary(
            name=name,
            type=TYPES[self.data_type],
            missing=self.missing,
            nonfinite=self.nonfinite,
            min=json_cell(self.smallest),
            max=json_cell(self.largest),
        )
