"""How an upload becomes a dataset: to disk under a limit, hashed, read, stored as Parquet."""

import errno
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Final

from contract.artifacts import DATASET_FILE, Artifacts
from contract.dataset_record import DatasetRecord
from contract.errors import StorageFullError, TooLargeError
from contract.settings import Settings
from contract.store import Store, new_dataset_id
from contract.table_limits import TableLimits
from contract.tabular import TableSummary, ingest
from contract.upload_format import detect_format
from service.parquet_process import ingest_apart

_BLOCK: Final = 1 << 20
_LONGEST_NAME: Final = 200


@dataclass(frozen=True)
class Upload:
    """A file as it comes in."""

    content: IO[bytes]
    filename: str
    name: str
    """What the client calls it; the file's name if empty."""


@dataclass(frozen=True)
class ReceivedFile:
    """An upload on our disk."""

    path: Path
    num_bytes: int
    sha256: str


def store_upload(
    upload: Upload, store: Store, artifacts: Artifacts, settings: Settings
) -> DatasetRecord:
    """Read an upload and keep it as a dataset, or keep nothing of it.

    Raises:
        TooLargeError: it is larger than `max_upload_bytes`.
        TableError: it is no table we can read, or beyond a limit.
        StorageFullError: there is no room for it.
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            received = _receive(upload.content, Path(folder) / "upload", settings.max_upload_bytes)
            parquet = Path(folder) / DATASET_FILE
            limits = TableLimits(
                max_rows=settings.max_rows,
                max_columns=settings.max_columns,
                max_unpacked_bytes=settings.max_unpacked_bytes,
            )
            summary = _ingest(received.path, upload.filename, parquet, limits)
            dataset_id = new_dataset_id()
            artifacts.put(parquet, "datasets", dataset_id, DATASET_FILE)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageFullError("there is no room left to store the upload") from error
        raise
    values: dict[str, object] = {
        "name": clean_name(upload.name or upload.filename),
        "format": summary.format,
        "bytes": received.num_bytes,
        "sha256": received.sha256,
        "rows": summary.rows,
        "columns": [column.model_dump(mode="json") for column in summary.columns],
        "preview": summary.preview.model_dump(mode="json"),
    }
    try:
        return store.datasets.create(dataset_id, values)
    except BaseException:
        artifacts.delete("datasets", dataset_id)
        raise


def _ingest(source: Path, filename: str, destination: Path, limits: TableLimits) -> TableSummary:
    if detect_format(source, filename) == "parquet":
        return ingest_apart(source, destination, limits)
    return ingest(source, filename, destination, limits)


def _receive(source: IO[bytes], path: Path, max_bytes: int) -> ReceivedFile:
    digest, num_bytes = hashlib.sha256(), 0
    with path.open("wb") as file:
        while block := source.read(_BLOCK):
            num_bytes += len(block)
            if num_bytes > max_bytes:
                raise TooLargeError(f"an upload may have {max_bytes:,} bytes (max_upload_bytes)")
            digest.update(block)
            file.write(block)
    return ReceivedFile(path, num_bytes, digest.hexdigest())


def clean_name(name: str) -> str:
    """A client's name as one short printable line; it is shown, and never used as a path."""
    last = PurePosixPath(PureWindowsPath(name).name).name
    printable = "".join(letter for letter in last if letter.isprintable()).strip()
    return printable[:_LONGEST_NAME] or "unnamed"
