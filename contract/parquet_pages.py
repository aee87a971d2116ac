"""What the pages of a Parquet file say they unpack to; its footer may say something else."""

import mmap
from pathlib import Path
from typing import Final

from pyarrow import parquet

from contract.table_limits import TableError, TableLimits

_MOST_PAGES: Final = 100_000
_DEEPEST: Final = 8
# Field numbers of a page's header.
_UNPACKED_SIZE, _PACKED_SIZE = 2, 3
# Types of Thrift's compact protocol.
_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY = range(9)
_STRUCT = 12


class _UnreadableError(Exception):
    """These bytes are no header of a page."""


def check_pages(source: Path, metadata: parquet.FileMetaData, limits: TableLimits) -> None:
    """Refuse a file whose pages unpack to more than is allowed, whatever its footer claims.

    The reader makes room for what a page's own header says, up to 2 GiB each.

    Raises:
        TableError: if a page's header cannot be read, or if there are too many pages.
        TableLimitError: if the pages together are too large.
    """
    num_pages = num_bytes = 0
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for start, end in _chunks(metadata):
            place = start
            while place < end:
                place, unpacked = _read_page(content, place)
                num_pages += 1
                num_bytes += unpacked
                limits.check_unpacked(num_bytes)
                if num_pages > _MOST_PAGES:
                    raise TableError(f"The file has more than {_MOST_PAGES} pages.")


def _chunks(metadata: parquet.FileMetaData) -> list[tuple[int, int]]:
    """Where each column of each row group begins and ends in the file."""
    chunks = []
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            start = column.data_page_offset
            if column.has_dictionary_page and column.dictionary_page_offset:
                start = min(start, column.dictionary_page_offset)
            chunks.append((start, start + column.total_compressed_size))
    return chunks


def _read_page(content: mmap.mmap, place: int) -> tuple[int, int]:
    """Where the next page begins, and what this one unpacks to, in bytes."""
    try:
        header = _Header(content, place)
        sizes = header.read_fields()
        packed, unpacked = sizes[_PACKED_SIZE], sizes[_UNPACKED_SIZE]
    except (_UnreadableError, IndexError, KeyError):
        raise TableError("The file cannot be read as Parquet.") from None
    if packed < 0 or unpacked < 0:
        raise TableError("The file cannot be read as Parquet.")
    return header.place + packed, unpacked


class _Header:
    """Reads a struct of Thrift's compact protocol byte by byte."""

    def __init__(self, content: mmap.mmap, place: int) -> None:
        self.place = place
        self._content = content

    def read_fields(self, depth: int = 0) -> dict[int, int]:
        """The struct's integers by their field numbers; all else is passed over."""
        if depth > _DEEPEST:
            raise _UnreadableError
        integers: dict[int, int] = {}
        number = 0
        while (head := self._read_byte()) & 0x0F != _STOP:
            number = number + (head >> 4) if head >> 4 else self._read_integer()
            kind = head & 0x0F
            if kind in {_I16, _I32, _I64}:
                integers[number] = self._read_integer()
            else:
                self._pass_over(kind, depth)
        return integers

    def _pass_over(self, kind: int, depth: int) -> None:
        if kind == _BYTE:
            self.place += 1
        elif kind == _DOUBLE:
            self.place += 8
        elif kind == _BINARY:
            length = self._read_varint()
            self.place += length
        elif kind == _STRUCT:
            self.read_fields(depth + 1)
        elif kind not in {_TRUE, _FALSE}:
            raise _UnreadableError

    def _read_integer(self) -> int:
        """A zigzag integer."""
        varint = self._read_varint()
        return (varint >> 1) ^ -(varint & 1)

    def _read_varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._read_byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value
            if shift > 63:  # noqa: PLR2004 - an integer has 64 bits
                raise _UnreadableError

    def _read_byte(self) -> int:
        byte = self._content[self.place]
        self.place += 1
        return byte
