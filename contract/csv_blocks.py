"""Reading an untrusted CSV file block by block, every cell as text, within limits."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
from pyarrow import compute, csv

from contract.errors import InvalidError, LimitError

BLOCK_BYTES = 2**20
"""Bytes read at a time; no row may be longer."""

_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_NOT_TEXT = "The file is not UTF-8 text."
_NO_ROWS = "The file has no rows below its header."


class TableError(InvalidError):
    """A file that cannot be taken as a table; the message is for the one who sent it."""

    limit: str | None = None
    """The field of TableLimits that was exceeded; None if it was none of them."""


class TableLimitError(LimitError, TableError):
    """A table that is larger than allowed: a TableError that is answered as a LimitError."""

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(f"{message} ({limit})")
        self.limit = limit


@dataclass(frozen=True)
class TableLimits:
    """How large a table may be."""

    max_rows: int = 1_000_000
    max_columns: int = 1_000
    max_cell_bytes: int = 10_000
    """Bytes of one cell, at most BLOCK_BYTES."""


@dataclass(frozen=True)
class CsvFile:
    """A CSV file with a header, read as often as one likes."""

    source: Path
    delimiter: str
    limits: TableLimits

    def column_names(self) -> tuple[str, ...]:
        """The header's names, stripped.

        Raises:
            TableError: if there is no header, or a name is empty or there twice.
            TableLimitError: if there are too many names.
        """
        if self.source.stat().st_size == 0:
            raise TableError("The file is empty.")
        self._check_width()
        names = tuple(name.strip() for name in self._raw_names())
        for place, name in enumerate(names, start=1):
            if not name:
                raise TableError(f"Column {place} has no name.")
            if "\0" in name:
                raise TableError(_NOT_TEXT)
            if name in names[: place - 1]:
                raise TableError(f"Two columns are called {name!r}.")
        return names

    def blocks(self) -> Iterator[pa.RecordBatch]:
        """The rows below the header, some thousands at a time, every column as strings.

        Raises:
            TableError: at the first block that cannot be read.
            TableLimitError: at the first block that exceeds a limit.
        """
        num_rows = 0
        types: dict[str, pa.DataType] = {name: pa.string() for name in self._raw_names()}
        with _explained(), self.source.open("rb") as file:
            for block in self._open(file, types):
                num_rows += block.num_rows
                if num_rows > self.limits.max_rows:
                    message = f"There are more than {self.limits.max_rows} rows."
                    raise TableLimitError(message, "max_rows")
                self._check_cells(block)
                yield block
        if num_rows == 0:
            raise TableError(_NO_ROWS)

    def _raw_names(self) -> list[str]:
        with _explained(), self.source.open("rb") as file:
            return list(self._open(file, {}).schema.names)

    def _check_width(self) -> None:
        """Count before reading: for a million names the reader needs half a minute."""
        with self.source.open("rb") as file:
            unquoted = re.sub(rb'"[^"]*"', b"", file.read(BLOCK_BYTES))
        header = unquoted.lstrip(b"\r\n").splitlines()[:1]
        names = b"".join(header).count(self.delimiter.encode()) + 1
        if names > self.limits.max_columns:
            message = f"{names} columns are too many: the limit is {self.limits.max_columns}."
            raise TableLimitError(message, "max_columns")

    def _open(self, file: BinaryIO, types: dict[str, pa.DataType]) -> csv.CSVStreamingReader:
        # An open file, not its path: by a path's ending the reader would unpack it.
        return csv.open_csv(
            file,
            # Without threads an error knows the number of its row.
            read_options=csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=csv.ConvertOptions(column_types=types),
        )

    def _check_cells(self, block: pa.RecordBatch) -> None:
        for name, column in zip(block.schema.names, block.columns, strict=True):
            text = cast("pa.StringArray", column)
            # PostgreSQL stores no NUL in text, and no text has one.
            if compute.any(compute.match_substring(text, "\0")).as_py():
                raise TableError(_NOT_TEXT)
            lengths = compute.binary_length(text)
            longest = compute.max(lengths).as_py() or 0
            if longest > self.limits.max_cell_bytes:
                limit = self.limits.max_cell_bytes
                message = f"Column {name!r} has a cell of {longest} bytes: the limit is {limit}."
                raise TableLimitError(message, "max_cell_bytes")


@contextmanager
def _explained() -> Iterator[None]:
    """Turn the reader's errors into sentences without the file's path or contents."""
    try:
        yield
    except UnicodeDecodeError:
        raise TableError(_NOT_TEXT) from None
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
        return _NOT_TEXT
    return _NO_ROWS if "Empty CSV" in message else "The file cannot be read as CSV."
