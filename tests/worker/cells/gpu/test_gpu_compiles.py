"""The kernels as machine code, which needs no GPU: Triton brings its compiler and assembler."""

import json
import os
import subprocess
import sys

import pytest

from tests.worker.cells.gpu import compile_kernels
from worker.cells.gru import gpu as gru
from worker.cells.lstm import gpu as lstm
from worker.cells.rnn import gpu as rnn

FITS = {"rnn": rnn.fits, "gru": gru.fits, "lstm": lstm.fits}


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Shared memory of each cell's hungriest kernel; from a process that does not interpret."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path_factory.mktemp("triton"))
    command = [sys.executable, "-m", compile_kernels.__name__]
    ended = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    bytes_by_kind: dict[str, int] = json.loads(ended.stdout)
    return bytes_by_kind


@pytest.mark.parametrize(("kind", "hidden_size"), compile_kernels.HIDDEN_SIZES.items())
def test_kernels_compile_and_take_what_was_foretold(
    kind: str, hidden_size: int, taken: dict[str, int]
) -> None:
    """All kernels compile, and `fits` asks for the shared memory that the hungriest takes."""
    assert FITS[kind](hidden_size, taken[kind])
    assert not FITS[kind](hidden_size, taken[kind] - 1)
