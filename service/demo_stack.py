"""An embedded stack of its own for the demonstration and the benchmarks."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from service.client import Client

_READY_WITHIN_S: Final = 60.0


@contextmanager
def running_stack() -> Iterator[Client]:
    """`unroll serve` on a free port and a temporary folder, with a client of it.

    Raises:
        RuntimeError: the stack did not start; the message ends with its log.
    """
    with tempfile.TemporaryDirectory() as folder, _serving(Path(folder)) as client:
        yield client


@contextmanager
def _serving(folder: Path) -> Iterator[Client]:
    port = _free_port()
    command = [sys.executable, "-m", "service.cli", "serve"]
    options = ["--port", str(port), "--data-dir", str(folder / "data")]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("UNROLL_")
    }
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen([*command, *options], stdout=log, stderr=log, env=environment)  # noqa: S603 - ourselves
        try:
            with Client(f"http://127.0.0.1:{port}") as client:
                _wait_until_ready(client, process, Path(log.name))
                yield client
        finally:
            process.terminate()
            process.wait()


def _wait_until_ready(client: Client, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while not client.is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the embedded stack did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
