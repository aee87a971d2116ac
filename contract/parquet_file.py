"""Reading an untrusted Parquet file batch by batch; one that is too large is not begun."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import pyarrow as pa
from pyarrow import compute, parquet

from contract.arrow_values import own_type, own_values
from contract.column_types import Values
from contract.table_limits import (
    BLOCK_BYTES,
    NOT_TEXT,
    TableError,
    TableLimits,
    check_names,
    check_text,
    checked,
)

_ROWS_AT_ONCE: Final = 16_384
_NUMBER_BYTES: Final = 8
_LARGEST_FOOTER: Final = 2**24
PARQUET_START: Final = b"PAR1"
# A file ends with the footer's length and the four letters it began with.
_END_BYTES: Final = 8
_SHOWN_CHARACTERS: Final = 60
_UNREADABLE: Final = "The file cannot be read as Parquet."


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file of flat columns, read as often as one likes.

    A file that was damaged with care can end the process that reads it, and its pages can unpack
    to more than its footer says: read a stranger's file in a process with bounded memory.
    """

    source: Path
    limits: TableLimits

    def schema(self) -> pa.Schema:
        """The columns in our own types; nothing but the footer is read.

        Raises:
            TableError: if the footer is damaged, or a column nested or of a type no table holds.
            TableLimitError: if by its footer the file exceeds a limit.
        """
        self._check_footer_size()
        with _explained():
            file = parquet.ParquetFile(self.source)
            found, metadata = file.schema_arrow, file.metadata
        self._check_size(metadata)
        check_names(found.names)
        return pa.schema([(field.name, _type_of(field)) for field in found])

    def blocks(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The rows, some thousands at a time, in the schema's types."""
        with _explained():
            yield from checked(self._typed_blocks(schema), self.limits)

    def _typed_blocks(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        # Text stays packed until it is known how long it gets: a dictionary's one long value can
        # stand in a million rows.
        texts = [field.name for field in schema if pa.types.is_string(field.type)]
        file = parquet.ParquetFile(
            self.source,
            read_dictionary=texts,
            buffer_size=BLOCK_BYTES,
            pre_buffer=False,
        )
        text_bytes = 0
        for batch in file.iter_batches(_ROWS_AT_ONCE, use_threads=False):
            for name in texts:
                text_bytes += self._measure_text(name, batch.column(name))
                self.limits.check_unpacked(text_bytes)
            values = [
                _values_of(field, column)
                for field, column in zip(schema, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(values, schema=schema)

    def _measure_text(self, name: str, column: Values) -> int:
        """Bytes of a column of packed text once it is unpacked, its values checked."""
        packed = cast("pa.DictionaryArray[Any, Any]", column)
        text = cast("pa.StringArray", packed.dictionary)
        text.validate(full=True)  # the reader does not look whether text is UTF-8
        check_text(name, text, self.limits)
        lengths = compute.binary_length(text).take(packed.indices)
        return int(compute.sum(lengths).as_py() or 0)

    def _check_footer_size(self) -> None:
        """Before it is read: a footer of many megabytes takes seconds and gigabytes."""
        size = self.source.stat().st_size
        with self.source.open("rb") as file:
            file.seek(max(0, size - _END_BYTES))
            end = file.read()
        footer_bytes = int.from_bytes(end[:4], "little")
        if not end.endswith(PARQUET_START) or footer_bytes > size - _END_BYTES:
            raise TableError(_UNREADABLE)
        if footer_bytes > _LARGEST_FOOTER:
            raise TableError(f"The file's footer is larger than {_LARGEST_FOOTER} bytes.")

    def _check_size(self, metadata: parquet.FileMetaData) -> None:
        groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
        num_rows = sum(group.num_rows for group in groups)
        self.limits.check_columns(metadata.num_columns)
        self.limits.check_rows(num_rows)
        self.limits.check_unpacked(sum(group.total_byte_size for group in groups))
        self.limits.check_unpacked(num_rows * metadata.num_columns * _NUMBER_BYTES)
        if num_rows * metadata.num_columns == 0:
            raise TableError("The file has no rows.")


def _type_of(field: "pa.Field[Any]") -> pa.DataType:
    data_type = own_type(field.type)
    if data_type is None:
        shown = str(field.type)[:_SHOWN_CHARACTERS]
        raise TableError(
            f"Column {field.name!r} holds {shown}; a column holds numbers, booleans, datetimes "
            "or text."
        )
    return data_type


def _values_of(field: "pa.Field[Any]", column: Values) -> Values:
    try:
        return own_values(column, field.type)
    except pa.ArrowInvalid:
        raise TableError(
            f"Column {field.name!r} has a value that is too large: integers have 64 bits, "
            "datetimes the years 1 to 9999."
        ) from None


@contextmanager
def _explained() -> Iterator[None]:
    """Turn the reader's errors into sentences without the file's path or contents."""
    try:
        yield
    except UnicodeDecodeError:
        raise TableError(NOT_TEXT) from None
    except pa.ArrowException as error:
        raise TableError(NOT_TEXT if "UTF8" in str(error) else _UNREADABLE) from None
    except OSError as error:
        # Damage comes without a number, what the system refused with one.
        if error.errno is not None:
            raise
        raise TableError(_UNREADABLE) from None
