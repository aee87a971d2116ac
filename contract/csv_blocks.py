"""Reads a CSV file of unknown origin block by block, each column in a type that fits all of it."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pyarrow.compute
import pyarrow.csv

from contract.errors import InvalidError, LimitError

_BLOCK_BYTES = 4 << 20
_MAX_NAME_CHARACTERS = 200  # as long as a spec may name
_MAX_REREADS = 16  # of one file, each because one column changed its type


class TableError(InvalidError):
    """The file is not a table that can be read; the message says why."""


class TableLimitError(LimitError):
    """The table is larger than a limit, which the message names."""

    def __init__(self, detail: str, limit: str) -> None:
        super().__init__(detail)
        self.limit = limit


@dataclass(frozen=True)
class TableLimits:
    """How large a table may be."""

    max_rows: int
    max_columns: int
    max_cell_characters: int = 10_000


class _ColumnMisfitError(Exception):
    """A cell does not fit the type that its column has had so far."""

    def __init__(self, column: int) -> None:
        super().__init__(column)
        self.column = column


def check_text(source: Path) -> None:
    """Check that a file is UTF-8 text with something in it.

    Raises:
        TableError: it is empty, holds a NUL byte, or is not UTF-8; the message names the line.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, is_blank = 1, True
    with source.open("rb") as file:
        while block := file.read(1 << 20):
            if b"\0" in block:
                raise TableError("the file is not text: it holds a NUL byte")
            line, is_blank = line + block.count(b"\n"), is_blank and not block.strip()
            _decode(decoder, block, line)
    _decode(decoder, b"", line, final=True)
    if is_blank:
        raise TableError("the file is empty")


def _decode(
    decoder: codecs.IncrementalDecoder, block: bytes, line: int, *, final: bool = False
) -> None:
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError as error:
        bad_line = line - error.object[error.start :].count(b"\n")
        raise TableError(f"the file is not UTF-8: line {bad_line} cannot be read") from None


def read_header(source: Path, limits: TableLimits) -> list[str]:
    """Column names: the first line that is not blank.

    Raises:
        TableError: a name is empty or there twice, or the cells are not separated by commas.
        TableLimitError: there are too many columns, or a name is too long.
    """
    with source.open("rb") as file:
        # The cut may fall inside a character; the rest of the file is not looked at here.
        start = file.read(_BLOCK_BYTES).decode("utf-8-sig", errors="ignore")
    try:
        rows = csv.reader(io.StringIO(start, newline=""))
        names = next((row for row in rows if row), [])
    except csv.Error:
        raise _too_long("a column's name", _MAX_NAME_CHARACTERS, "name_characters") from None
    _check_names(names, limits)
    return names


def _check_names(names: list[str], limits: TableLimits) -> None:
    if len(names) > limits.max_columns:
        raise TableLimitError(
            f"the table has {len(names)} columns; at most {limits.max_columns} are allowed",
            "max_columns",
        )
    if any(len(name) > _MAX_NAME_CHARACTERS for name in names):
        raise _too_long("a column's name", _MAX_NAME_CHARACTERS, "name_characters")
    if any(not name.strip() for name in names):
        empty = next(n for n, name in enumerate(names, 1) if not name.strip())
        raise TableError(f"column {empty} has no name in the header")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise TableError(f"the column name '{twice}' is there twice")
    if len(names) == 1 and (separator := re.search("[;\t]", names[0])):
        name = "tabs" if separator[0] == "\t" else "semicolons"
        raise TableError(f"the cells are separated by {name}; commas are needed")


def settle_types(source: Path, limits: TableLimits) -> dict[str, pyarrow.DataType]:
    """Type of each column that fits all its cells, by reading the whole file once or more.

    What is inferred from the first block is widened as later blocks need it: whole numbers to
    floats, everything else to text. A column of empty cells is one of missing numbers.

    Raises:
        TableError: the file is not a table, or too many columns change their type on the way.
        TableLimitError: it is too large; every limit has been checked when this returns.
    """
    names = read_header(source, limits)
    types: dict[str, pyarrow.DataType] = {}
    for _ in range(_MAX_REREADS):
        try:
            for block in read_blocks(source, types, limits):
                types = types or _first_types(block.schema, names)
        except _ColumnMisfitError as misfit:
            types = {**types, names[misfit.column]: _wider(types[names[misfit.column]])}
        else:
            if not types:
                raise TableError("the file has a header but no rows")
            return types
    raise TableError(f"more than {_MAX_REREADS} columns change their type after the first rows")


def _first_types(schema: pyarrow.Schema, names: list[str]) -> dict[str, pyarrow.DataType]:
    if schema.names != names:
        raise TableError("the header cannot be read as CSV")
    return {field.name: _known(field.type) for field in schema}


def _known(inferred: pyarrow.DataType) -> pyarrow.DataType:
    if pyarrow.types.is_null(inferred):
        return pyarrow.float64()
    return pyarrow.string() if pyarrow.types.is_time(inferred) else inferred


def _wider(narrow: pyarrow.DataType) -> pyarrow.DataType:
    return pyarrow.float64() if pyarrow.types.is_integer(narrow) else pyarrow.string()


def read_blocks(
    source: Path, types: dict[str, pyarrow.DataType], limits: TableLimits
) -> Iterator[pyarrow.RecordBatch]:
    """The table's rows, block by block; never the whole file in memory.

    A column's type is inferred from the first block unless `types` names it. Empty cells, "NA",
    "NaN" and the like are null, except in columns of text.

    Raises:
        _ColumnMisfitError: a cell does not fit its column's type; see `settle_types`.
        TableError: a row has too few or too many cells; the message says which.
        TableLimitError: a row is longer than a block, or there are too many rows.
    """
    ragged: list[pyarrow.csv.InvalidRow] = []
    rows = 0
    with pyarrow.OSFile(str(source)) as file:
        try:
            for block in _open(file, types, ragged):
                rows += block.num_rows
                _check_cells(block, limits.max_cell_characters)
                if rows > limits.max_rows:
                    raise TableLimitError(
                        f"the table has more than {limits.max_rows} rows", "max_rows"
                    )
                yield block
        except pyarrow.ArrowInvalid as error:
            raise _reason(str(error), ragged) from None


def _check_cells(block: pyarrow.RecordBatch, max_characters: int) -> None:
    for column in block.columns:
        if not pyarrow.types.is_string(column.type):
            continue
        longest = pyarrow.compute.max(pyarrow.compute.utf8_length(column)).as_py()
        if longest is not None and longest > max_characters:
            raise _too_long("a cell", max_characters, "max_cell_characters")


def _open(
    file: pyarrow.OSFile,
    types: dict[str, pyarrow.DataType],
    ragged: list[pyarrow.csv.InvalidRow],
) -> pyarrow.csv.CSVStreamingReader:
    def remember(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    return pyarrow.csv.open_csv(
        file,
        # One thread, or rows lose their numbers.
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
        parse_options=pyarrow.csv.ParseOptions(
            newlines_in_values=True, invalid_row_handler=remember
        ),
        convert_options=pyarrow.csv.ConvertOptions(column_types=types),
    )


def _reason(message: str, ragged: list[pyarrow.csv.InvalidRow]) -> Exception:
    """What an error of the CSV reader means, in words for the client."""
    if ragged:
        row = ragged[0]
        return TableError(
            f"row {row.number} has {row.actual_columns} cells, "
            f"the header has {row.expected_columns}"
        )
    if misfit := re.match(r"In CSV column #(\d+)", message):
        return _ColumnMisfitError(int(misfit[1]))
    if "straddling" in message:
        return _too_long("a row (or a quote that is never closed)", _BLOCK_BYTES, "row_bytes")
    return TableError("the file cannot be read as CSV")


def _too_long(what: str, most: int, limit: str) -> TableLimitError:
    unit = "bytes" if limit.endswith("bytes") else "characters"
    return TableLimitError(f"{what} is too long: at most {most} {unit} are allowed", limit)
