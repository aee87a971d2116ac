"""Parquet uploads are read in a process of their own: some damaged files end the reader's."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from contract.table_limits import TableError, TableLimitError, TableLimits
from contract.tabular import TableSummary, ingest

_TIMEOUT_S: Final = 120.0
# Beyond the unpacked values: the interpreter, the libraries and what they reserve.
_OTHER_BYTES: Final = 4 * 2**30
_UNREADABLE: Final = "The file cannot be read as Parquet."


def ingest_apart(
    source: Path, destination: Path, limits: TableLimits, memory_bytes: int | None = None
) -> TableSummary:
    """As `ingest`, for a Parquet file; a reader that dies, hangs or eats up memory is a refusal.

    Args:
        source: the upload.
        destination: where our own Parquet file goes.
        limits: how large the table may be.
        memory_bytes: most address space the reader may take; None: enough for the limits.

    Raises:
        TableError: if the file is no table.
        TableLimitError: if it exceeds a limit.
        OSError: if there is no room for the result.
    """
    memory = memory_bytes or 2 * limits.max_unpacked_bytes + _OTHER_BYTES
    arguments = [str(source), str(destination), json.dumps(asdict(limits)), str(memory)]
    # What reads a stranger's file needs none of our keys.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("UNROLL_")
    }
    try:
        reader = subprocess.run(  # noqa: S603 - our own module on our own files
            [sys.executable, "-m", "service.parquet_process", *arguments],
            capture_output=True,
            env=environment,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        destination.unlink(missing_ok=True)
        raise TableError(_UNREADABLE) from None
    return _answer(json.loads(reader.stdout))


def _answer(outcome: dict[str, object]) -> TableSummary:
    match outcome:
        case {"errno": int(number)}:
            raise OSError(number, os.strerror(number))
        case {"limit": str(limit), "detail": str(detail)}:
            raise TableLimitError(detail, limit)
        case {"detail": str(detail)}:
            raise TableError(detail)
    return TableSummary.model_validate(outcome)


def main() -> int:
    """Read one file and print what came of it."""
    source, destination, limits, memory = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    try:
        summary = ingest(Path(source), "", Path(destination), TableLimits(**json.loads(limits)))
        answer = summary.model_dump_json()
    except TableLimitError as error:
        answer = json.dumps({"detail": error.reason, "limit": error.limit})
    except TableError as error:
        answer = json.dumps({"detail": error.detail})
    except OSError as error:
        answer = json.dumps({"errno": error.errno})
    sys.stdout.write(answer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
