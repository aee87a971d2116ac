"""Reading an untrusted plain text as a table of one column, its lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from contract.table_limits import BLOCK_BYTES, EMPTY, NOT_TEXT, TableError, TableLimits, checked

_SCHEMA: Final = pa.schema([("text", pa.string())])
_BYTES_OF_A_CHARACTER: Final = 4


@dataclass(frozen=True)
class PlainTextFile:
    """A UTF-8 text: the rows of column `text`, one after the other, are the file.

    A row is a line with its line end; a line longer than a cell may be is several rows.
    """

    source: Path
    limits: TableLimits

    def schema(self) -> pa.Schema:
        """One column of text.

        Raises:
            TableError: if the file holds nothing.
        """
        if next(self._rows(), None) is None:
            raise TableError(EMPTY)
        return _SCHEMA

    def blocks(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The lines, about a megabyte of them at a time.

        Raises:
            TableError: at the first that is not UTF-8 text or a row too many.
        """
        batches = (pa.RecordBatch.from_arrays([group], schema=schema) for group in self._groups())
        yield from checked(batches, self.limits)

    def _groups(self) -> Iterator["pa.StringArray"]:
        group: list[str] = []
        num_characters = 0
        for row in self._rows():
            group.append(row)
            num_characters += len(row)
            if num_characters >= BLOCK_BYTES:
                yield pa.array(group, pa.string())
                group, num_characters = [], 0
        if group:
            yield pa.array(group, pa.string())

    def _rows(self) -> Iterator[str]:
        longest = max(1, self.limits.max_cell_bytes // _BYTES_OF_A_CHARACTER)
        # Line ends are left as they are; a byte order mark is no part of the text.
        with self.source.open(encoding="utf-8-sig", newline="") as file:
            try:
                while row := file.readline(longest):
                    yield row
            except UnicodeDecodeError:
                raise TableError(NOT_TEXT) from None
