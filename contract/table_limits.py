"""What an untrusted table may be: its errors, its limits, and what every block is checked for."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import pyarrow as pa
from pyarrow import compute

from contract.errors import InvalidError, LimitError

BLOCK_BYTES: Final = 2**20
"""Bytes read at a time; no row may be longer."""
NOT_TEXT: Final = "The file is not UTF-8 text."
EMPTY: Final = "The file is empty."


class TableError(InvalidError):
    """A file that cannot be taken as a table; the message is for the one who sent it."""

    limit: str | None = None
    """The field of TableLimits that was exceeded; None if it was none of them."""


class TableLimitError(LimitError, TableError):
    """A table that is larger than allowed: a TableError that is answered as a LimitError."""

    def __init__(self, message: str, limit: str) -> None:
        super().__init__(f"{message} ({limit})")
        self.reason = message
        self.limit = limit


@dataclass(frozen=True)
class TableLimits:
    """How large a table may be."""

    max_rows: int = 1_000_000
    max_columns: int = 1_000
    max_cell_bytes: int = 10_000
    """Bytes of one cell of text, at most BLOCK_BYTES."""
    max_unpacked_bytes: int = 2**30
    """Bytes of a packed file's values once they are unpacked."""

    def check_columns(self, count: int) -> None:
        """Refuse too many columns."""
        if count > self.max_columns:
            message = f"{count} columns are too many: the limit is {self.max_columns}."
            raise TableLimitError(message, "max_columns")

    def check_rows(self, count: int) -> None:
        """Refuse too many rows."""
        if count > self.max_rows:
            raise TableLimitError(f"There are more than {self.max_rows} rows.", "max_rows")

    def check_unpacked(self, count: int) -> None:
        """Refuse values that need too many bytes."""
        if count > self.max_unpacked_bytes:
            message = f"Unpacked the file needs more than {self.max_unpacked_bytes} bytes."
            raise TableLimitError(message, "max_unpacked_bytes")


def check_names(names: Sequence[str]) -> None:
    """Refuse names by which columns cannot be told apart.

    Raises:
        TableError: if a name is empty, there twice, or no text.
    """
    seen: set[str] = set()
    for place, name in enumerate(names, start=1):
        if not name:
            raise TableError(f"Column {place} has no name.")
        if "\0" in name or not _is_unicode(name):
            raise TableError(NOT_TEXT)
        if name in seen:
            raise TableError(f"Two columns are called {name!r}.")
        seen.add(name)


def checked(blocks: Iterable[pa.RecordBatch], limits: TableLimits) -> Iterator[pa.RecordBatch]:
    """The same blocks, up to the first that has a row too many or a cell that is no good text.

    Raises:
        TableError: at that block.
    """
    num_rows = 0
    for block in blocks:
        num_rows += block.num_rows
        limits.check_rows(num_rows)
        for name, column in zip(block.schema.names, block.columns, strict=True):
            if pa.types.is_string(column.type):
                check_text(name, column, limits)
        yield block


def check_text(name: str, column: "pa.Array[Any]", limits: TableLimits) -> None:
    """Refuse a cell of text that is too long or holds a NUL.

    Raises:
        TableError: naming the column.
    """
    text = cast("pa.StringArray", column)
    # PostgreSQL stores no NUL in text, and no text has one.
    if compute.any(compute.match_substring(text, "\0")).as_py():
        raise TableError(NOT_TEXT)
    longest = compute.max(compute.binary_length(text)).as_py() or 0
    if longest > limits.max_cell_bytes:
        limit = limits.max_cell_bytes
        message = f"Column {name!r} has a cell of {longest} bytes: the limit is {limit}."
        raise TableLimitError(message, "max_cell_bytes")


def _is_unicode(name: str) -> bool:
    """JSON can name half a surrogate pair, which no text holds."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
