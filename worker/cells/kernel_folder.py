"""Where compiled kernels are kept on disk: a folder of their own for each state of their sources.

Numba looks at a kernel's own file to tell whether what it has kept is still good, not at the files
of what it calls; an old kernel would live on in a new release.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_MARK: Final = b"worker.cells.compiled import"


def find_kernel_folder(package: Path) -> Path | None:
    """The first that can be written to; None if none can, and nothing is kept.

    It is below `NUMBA_CACHE_DIR` if that is set, or else in the package itself or the user's home.
    What lies there is loaded as code: nobody else should be able to write to it.

    Args:
        package: folder of the kernels' sources.
    """
    for place in _places(package):
        folder = place / f"kernels-{_stamp(package)}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        return folder
    return None


def _places(package: Path) -> Iterator[Path]:
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(given)
        return
    yield package / "__pycache__"
    with suppress(RuntimeError):  # a user without a home
        yield Path.home() / ".cache" / "unroll"


def _stamp(package: Path) -> str:
    """16 hexadecimal digits, others if any file with a kernel has changed."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        source = path.read_bytes()
        if _MARK in source or path.name == "compiled.py":
            digest.update(source)
    return digest.hexdigest()[:16]
