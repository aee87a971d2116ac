"""Uploaded tables: from any format to the Parquet file that is trained on, and its summary."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Protocol

import pyarrow as pa
from pyarrow import compute, parquet
from pydantic import BaseModel, ConfigDict

from contract.column_types import TYPES, Cell, ColumnType, Values, json_cell
from contract.csv_file import CsvFile
from contract.json_lines_file import JsonLinesFile
from contract.parquet_file import ParquetFile
from contract.plain_text_file import PlainTextFile
from contract.table_limits import TableLimits
from contract.upload_format import UploadFormat, detect_format

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

    format: UploadFormat
    """What it was read from."""
    rows: int
    columns: tuple[ColumnSummary, ...]
    preview: Preview


def ingest(source: Path, filename: str, destination: Path, limits: TableLimits) -> TableSummary:
    """Turn an upload into a Parquet file, in memory that does not grow with its rows.

    CSV and JSON Lines are read twice: once to find the narrowest type that fits every cell of a
    column, once to write. Nothing is left behind if the file is refused.

    Args:
        source: the upload.
        filename: the sender's name for it; `.tsv` and `.tab` mean that tabs separate cells, and
            see `detect_format`.
        destination: where the Parquet file goes.
        limits: how large the table may be.

    Raises:
        TableError: if the file is no table.
        TableLimitError: if it exceeds a limit.
    """
    found = detect_format(source, filename)
    file = _open(found, source, filename, limits)
    schema = file.schema()
    counts = _Counts(schema)
    try:
        with parquet.ParquetWriter(destination, schema) as writer:
            for block in file.blocks(schema):
                writer.write_batch(block)
                counts.add(block)
    except BaseException:
        destination.unlink(missing_ok=True)
        raise
    return counts.summary(found)


def read_table(path: Path) -> pa.Table:
    """A stored table, whole.

    Raises:
        FileNotFoundError: if there is none.
    """
    return parquet.read_table(path)


class _TableFile(Protocol):
    """An untrusted file that is read as a table."""

    def schema(self) -> pa.Schema:
        """Names and types of its columns."""

    def blocks(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Its rows in those types, some at a time."""


def _open(found: UploadFormat, source: Path, filename: str, limits: TableLimits) -> _TableFile:
    match found:
        case "parquet":
            return ParquetFile(source, limits)
        case "jsonl":
            return JsonLinesFile(source, limits)
        case "text":
            return PlainTextFile(source, limits)
        case "csv":
            suffix = PurePosixPath(filename.lower()).suffix
            return CsvFile(source, "\t" if suffix in _TAB_SUFFIXES else ",", limits)


class _Counts:
    """What has been counted of a table so far, and its first rows."""

    def __init__(self, schema: pa.Schema) -> None:
        self._names = tuple(schema.names)
        self._tallies = [_Tally(data_type) for data_type in schema.types]
        self._preview: list[tuple[Cell, ...]] = []
        self._num_rows = 0

    def add(self, block: pa.RecordBatch) -> None:
        """Count one more block."""
        self._num_rows += block.num_rows
        self._preview.extend(_first_rows(block, _PREVIEW_ROWS - len(self._preview)))
        for tally, column in zip(self._tallies, block.columns, strict=True):
            tally.add(column)

    def summary(self, found: UploadFormat) -> TableSummary:
        """All that was counted."""
        columns = zip(self._tallies, self._names, strict=True)
        return TableSummary(
            format=found,
            rows=self._num_rows,
            columns=tuple(tally.summary(name) for tally, name in columns),
            preview=Preview(columns=self._names, rows=tuple(self._preview)),
        )


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
