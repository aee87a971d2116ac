"""Reading an untrusted CSV file block by block, within limits."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from pyarrow import csv

from contract.column_types import TextBlock, narrowest_types, typed_block
from contract.table_limits import (
    BLOCK_BYTES,
    EMPTY,
    NOT_TEXT,
    TableError,
    TableLimits,
    check_names,
    checked,
)

_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_NO_ROWS = "The file has no rows below its header."


@dataclass(frozen=True)
class CsvFile:
    """A CSV file whose first row is the header, read as often as one likes."""

    source: Path
    delimiter: str
    limits: TableLimits

    def schema(self) -> pa.Schema:
        """Names, stripped, with the narrowest type that fits all of a column's cells.

        Raises:
            TableError: if there is no header, a name is empty or there twice, or the rows below
                cannot be read.
        """
        if self.source.stat().st_size == 0:
            raise TableError(EMPTY)
        self._check_width()
        names = [name.strip() for name in self._raw_names()]
        check_names(names)
        types = narrowest_types(TextBlock(block.columns) for block in self._text_blocks())
        if not types:
            raise TableError(_NO_ROWS)
        return pa.schema(list(zip(names, types, strict=True)))

    def blocks(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The rows below the header, some thousands at a time, in the schema's types."""
        for block in self._text_blocks():
            yield typed_block(block.columns, schema)

    def _text_blocks(self) -> Iterator[pa.RecordBatch]:
        """Every cell as text."""
        types: dict[str, pa.DataType] = {name: pa.string() for name in self._raw_names()}
        with _explained(), self.source.open("rb") as file:
            yield from checked(self._open(file, types), self.limits)

    def _raw_names(self) -> list[str]:
        with _explained(), self.source.open("rb") as file:
            return list(self._open(file, {}).schema.names)

    def _check_width(self) -> None:
        """Count before reading: for a million names the reader needs half a minute."""
        with self.source.open("rb") as file:
            unquoted = re.sub(rb'"[^"]*"', b"", file.read(BLOCK_BYTES))
        header = unquoted.lstrip(b"\r\n").splitlines()[:1]
        self.limits.check_columns(b"".join(header).count(self.delimiter.encode()) + 1)

    def _open(self, file: BinaryIO, types: dict[str, pa.DataType]) -> csv.CSVStreamingReader:
        # An open file, not its path: by a path's ending the reader would unpack it.
        return csv.open_csv(
            file,
            # Without threads an error knows the number of its row.
            read_options=csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=types),
        )


@contextmanager
def _explained() -> Iterator[None]:
    """Turn the reader's errors into sentences without the file's path or contents."""
    try:
        yield
    except UnicodeDecodeError:
        raise TableError(NOT_TEXT) from None
    except pa.ArrowInvalid as error:
        raise TableError(_sentence(str(error))) from None


def _sentence(message: str) -> str:
    ragged = _RAGGED.search(message)
    if ragged:
        row, expected, got = ragged.groups()
        return (
            f"Row {row} has {got} cells, the header has {expected} "
            "(the header is row 1, empty lines are not counted)."
        )
    if "straddling" in message:
        return f"A row is longer than {BLOCK_BYTES} bytes; is a quotation mark never closed?"
    if "UTF8" in message:
        return NOT_TEXT
    return _NO_ROWS if "Empty CSV" in message else "The file cannot be read as CSV."
