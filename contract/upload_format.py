"""Which format an upload has: its first bytes decide, its name where they leave it open."""

import re
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from contract.errors import FieldError
from contract.parquet_file import PARQUET_START
from contract.table_limits import TableError

UploadFormat = Literal["csv", "parquet", "jsonl", "text"]

_HEAD_BYTES: Final = 4_096
# The start of a JSON object; no row of a CSV file has a quotation mark behind a brace.
_JSON_OBJECT: Final = re.compile(rb"(\xef\xbb\xbf)?\s*\{\s*[\"}]")
_OTHER_STARTS: Final = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip or Excel",
    b"\xd0\xcf\x11\xe0": "Excel",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"\x93NUMPY": "NumPy",
    b"ARROW1": "Arrow",
}
_OTHER_SUFFIXES: Final = frozenset(
    {".xlsx", ".xls", ".gz", ".zip", ".zst", ".bz2", ".xz", ".npy", ".arrow", ".feather"}
)
_FORMAT_OF_SUFFIX: Final[dict[str, UploadFormat]] = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "text",
}


def detect_format(source: Path, filename: str) -> UploadFormat:
    """The format of an upload; CSV if nothing speaks for another.

    Args:
        source: the upload.
        filename: the sender's name for it.

    Raises:
        TableError: if it is a file of another kind, by its start or by its name.
    """
    with source.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    suffix = PurePosixPath(filename.lower()).suffix
    _refuse_others(head, suffix)
    if head.startswith(PARQUET_START):
        return "parquet"
    named = _FORMAT_OF_SUFFIX.get(suffix)
    if named == "parquet":
        raise _refusal("the file's name says Parquet, but its content does not")
    if named is None and _JSON_OBJECT.match(head):
        return "jsonl"
    if suffix == ".json":
        raise _refusal("a JSON document is not read; send JSON Lines, one object a line")
    return named or "csv"


def _refuse_others(head: bytes, suffix: str) -> None:
    """What would be read as a CSV file of nonsense."""
    kind = next((name for start, name in _OTHER_STARTS.items() if head.startswith(start)), None)
    if kind or suffix in _OTHER_SUFFIXES:
        name = f"{kind or suffix} files"
        raise _refusal(f"{name} are not read; send CSV, Parquet, JSON Lines or plain text")


def _refusal(reason: str) -> TableError:
    return TableError(reason, (FieldError("/file", reason),))
