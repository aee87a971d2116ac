"""Running processes of the service, driven over HTTP as a client would."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

JsonObject = dict[str, Any]

# Short leases, so that a lost worker is noticed while a test waits.
FAST = {"UNROLL_LEASE_S": "3", "UNROLL_SWEEP_S": "0.3", "UNROLL_HEARTBEAT_S": "0.2"}


class Stack:
    """Running processes and an HTTP client of their gateway."""

    def __init__(self, processes: list[subprocess.Popen[bytes]], port: int) -> None:
        self.processes = processes
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def wait_until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Poll until the condition holds; fails the test if it does not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "did not happen in time"
            time.sleep(0.05)

    def wait_until_ready(self) -> None:
        """Wait for the gateway; jobs wait for the worker, whose first start may compile kernels."""
        self.wait_until(self._is_ready)

    def _is_ready(self) -> bool:
        try:
            return self.http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def submit(self, **spec: Any) -> JsonObject:  # noqa: ANN401 - any JSON
        """POST a spec that must be accepted."""
        answer = self.http.post("/v1/jobs", json=spec)
        assert answer.status_code == 201, answer.text
        return self.read(answer)

    def job(self, job_id: str) -> JsonObject:
        """Read a job."""
        return self.read(self.http.get(f"/v1/jobs/{job_id}"))

    def get(self, job_id: str, part: str) -> JsonObject:
        """Read a part of a job: curves, gradient-flow or diagnosis."""
        answer = self.http.get(f"/v1/jobs/{job_id}/{part}")
        assert answer.is_success, answer.text
        return self.read(answer)

    def finished(self, job_id: str, seconds: float = 180) -> JsonObject:
        """Wait for a job's final status; returns the job."""
        finals = {"succeeded", "failed", "cancelled"}
        self.wait_until(lambda: self.job(job_id)["status"] in finals, seconds)
        return self.job(job_id)

    def started(self, job_id: str) -> None:
        """Wait for a job's first step."""
        self.wait_until(lambda: self.job(job_id)["progress"]["step"] > 0, 180)

    def training_processes(self) -> list[psutil.Process]:
        """The processes that train: leaders of a session, forked from a fork server."""
        alive = [process.pid for process in self.processes if process.poll() is None]
        roots = [psutil.Process(pid) for pid in alive]
        below = [child for root in roots for child in root.children(recursive=True)]
        return [process for process in below if is_training(process)]

    @staticmethod
    def read(answer: httpx.Response) -> JsonObject:
        """The answer's JSON object."""
        body: JsonObject = answer.json()
        return body


def is_training(process: psutil.Process) -> bool:
    """Whether this is a training process, which leads its own session below the fork server."""
    try:
        is_forked = "forkserver" in " ".join(process.cmdline())
        return is_forked and os.getsid(process.pid) == process.pid
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def launch(*command: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start a process of ours with these settings."""
    return subprocess.Popen(command, env=os.environ | FAST | environment)


@contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """Wait for the stack; end its processes afterwards, the last started first."""
    try:
        stack.wait_until_ready()
        yield stack
    finally:
        stack.http.close()
        for process in reversed(stack.processes):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in stack.processes:
            process.wait(30)


def serve(data_dir: Path, port: int) -> subprocess.Popen[bytes]:
    """`unroll serve` on a folder."""
    options = ["--port", str(port), "--data-dir", str(data_dir)]
    return launch(sys.executable, "-m", "service.cli", "serve", *options)
