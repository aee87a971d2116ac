"""Reading an untrusted JSON Lines file block by block: one flat object a line, within limits."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import pyarrow as pa

from contract.column_types import TextBlock, Values, narrowest_types, typed_block
from contract.table_limits import (
    BLOCK_BYTES,
    EMPTY,
    NOT_TEXT,
    TableError,
    TableLimits,
    check_names,
    check_text,
)


class _Literal(str):
    """A number or boolean as the file writes it; it is read once its column's type is known."""

    __slots__ = ()


class _RepeatedKeyError(Exception):
    """An object has a key twice."""


Row = dict[str, str | None]


@dataclass(frozen=True)
class JsonLinesFile:
    """A file with one JSON object a line, all with the same keys, read as often as one likes."""

    source: Path
    limits: TableLimits

    def schema(self) -> pa.Schema:
        """The first object's keys with the narrowest type that fits all of a column's values.

        A string is text or a datetime, never a number. Missing are null and the words that are
        missing in a CSV file.

        Raises:
            TableError: if a line is no flat object with the same keys; the message has its number.
        """
        names = self._names()
        self.limits.check_columns(len(names))
        check_names(names)
        types = narrowest_types(self._text_blocks(names))
        return pa.schema(list(zip(names, types, strict=True)))

    def blocks(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The rows, some thousands at a time, in the schema's types."""
        for block in self._text_blocks(schema.names):
            yield typed_block(block.columns, schema)

    def _names(self) -> list[str]:
        lines = next(self._line_groups(), None)
        if lines is None:
            raise TableError(EMPTY)
        names = list(_row(*lines[0]))
        if not names:
            raise TableError("The first object has no keys.")
        return names

    def _text_blocks(self, names: list[str]) -> Iterator[TextBlock]:
        keys, num_rows = frozenset(names), 0
        for lines in self._line_groups():
            num_rows += len(lines)
            self.limits.check_rows(num_rows)
            rows = [_row_of(keys, number, line) for number, line in lines]
            columns = [[row[name] for row in rows] for name in names]
            quoted = frozenset(
                place
                for place, values in enumerate(columns)
                if any(type(value) is str for value in values)
            )
            texts = [
                _text(name, values, self.limits)
                for name, values in zip(names, columns, strict=True)
            ]
            yield TextBlock(texts, quoted)

    def _line_groups(self) -> Iterator[list[tuple[int, bytes]]]:
        """Lines that are not blank, with their numbers, about as many as fill a block."""
        group: list[tuple[int, bytes]] = []
        num_bytes = 0
        with self.source.open("rb") as file:
            for number in count(1):
                line = file.readline(BLOCK_BYTES + 1)
                if len(line) > BLOCK_BYTES:
                    raise TableError(f"Line {number} is longer than {BLOCK_BYTES} bytes.")
                if line.strip():
                    group.append((number, line))
                    num_bytes += len(line)
                if group and (not line or num_bytes >= BLOCK_BYTES):
                    yield group
                    group, num_bytes = [], 0
                if not line:
                    return


def _row_of(keys: frozenset[str], number: int, line: bytes) -> Row:
    """One line's values by key."""
    row = _row(number, line)
    if row.keys() != keys:
        differing = min(row.keys() ^ keys)
        raise TableError(
            f"Line {number} and the first object differ in the key {differing!r}; "
            "every object must have the same keys, null where there is no value."
        )
    return row


def _row(number: int, line: bytes) -> Row:
    try:
        # The mark that some editors put at the start of a file is no part of its text.
        document = _DECODER.decode(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError:
        raise TableError(NOT_TEXT) from None
    except _RepeatedKeyError as error:
        raise TableError(f"Line {number} has the key {error.args[0]!r} twice.") from None
    except json.JSONDecodeError as error:
        raise TableError(f"Line {number} is not JSON: {error.msg} at {error.colno}.") from None
    except RecursionError:
        raise TableError(f"Line {number} is nested too deeply.") from None
    if not isinstance(document, dict):
        raise TableError(f"Line {number} is not a JSON object.")
    for key, value in document.items():
        if isinstance(value, bool):
            document[key] = _Literal("true" if value else "false")
        elif not (value is None or isinstance(value, str)):
            raise TableError(f"Line {number} holds an array or object in {key!r}: not flat.")
    return document


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(key for key in keys if keys.count(key) > 1))
    return members


# Made once: made anew for each line it would take twice the time.
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_Literal,
    parse_float=_Literal,
    parse_constant=_Literal,
)


def _text(name: str, values: list[str | None], limits: TableLimits) -> Values:
    try:
        text = pa.array(values, pa.string())
    except UnicodeEncodeError:
        raise TableError(NOT_TEXT) from None
    check_text(name, text, limits)
    return text
