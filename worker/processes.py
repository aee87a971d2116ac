"""Training processes: forked from a warm server, watched, ended with all that they started."""

import multiprocessing
import os
import signal
import time
from collections.abc import Collection, Iterator, Sequence
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Final

import psutil

from contract.settings import Settings
from contract.store import Claim

_OOM_EVENTS: Final = Path("/sys/fs/cgroup/memory.events")


def has_cuda() -> bool:
    """Whether torch sees a GPU; asked in a process of its own, for the server must stay clean."""
    with _context().Pool(1) as pool:
        return bool(pool.apply(_cuda_is_available))


def _cuda_is_available() -> bool:
    # Imported by name: this module is also loaded by the Celery process, which has no torch.
    return bool(import_module("torch").cuda.is_available())


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["worker.preloaded"])
    return context


class TrainingProcess:
    """The process of the claimed jobs of one pack, in a process group of its own."""

    def __init__(self, claims: Sequence[Claim], device: str, settings: Settings) -> None:
        self._oom_kills = _count_oom_kills()
        # When our end closes, also by our death, the process ends itself.
        self._channel, theirs = multiprocessing.Pipe()
        self._process: ForkServerProcess = _context().Process(
            target=_run_child, args=(theirs, claims, device, settings)
        )
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Process id, and id of its group."""
        return self._process.pid or 0

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; returns whether the process has ended."""
        self._process.join(seconds)
        return self._process.exitcode is not None

    @property
    def died(self) -> bool:
        """Whether it ended otherwise than by finishing its work."""
        return self._process.exitcode != 0

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether the kernel killed it for memory."""
        was_killed = self._process.exitcode == -signal.SIGKILL
        return was_killed and _count_oom_kills() > self._oom_kills

    def drop(self, job_ids: Collection[str], grace_s: float) -> bool:
        """Ask it to let go of some of its jobs; returns whether it has, before the grace ended."""
        waiting = set(job_ids)
        deadline = time.monotonic() + grace_s
        try:
            for job_id in job_ids:
                self._channel.send_bytes(job_id.encode())
            while waiting and self._channel.poll(max(0.0, deadline - time.monotonic())):
                waiting.discard(self._channel.recv_bytes().decode())
        except (EOFError, OSError):  # it has just ended
            return False
        return not waiting

    def end(self, grace_s: float) -> None:
        """Ask it to end, then kill it and everything it started; returns when they are gone."""
        self._signal_group(signal.SIGTERM)
        self._process.join(grace_s)
        self.kill(grace_s)

    def kill(self, grace_s: float) -> None:
        """Kill it and everything it started; returns when they are gone, or the grace has ended."""
        self._signal_group(signal.SIGKILL)
        self._process.join()
        deadline = time.monotonic() + grace_s
        while self.pids_left() and time.monotonic() < deadline:
            time.sleep(0.01)

    def close(self) -> None:
        """Give up our end of the pipe; to be called when the process has ended."""
        self._channel.close()
        self._process.close()

    def pids_left(self) -> list[int]:
        """Living processes of its group."""
        return [process.pid for process in _group(self.pid)]

    def _signal_group(self, number: signal.Signals) -> None:
        # Until the child has called setsid its group is the fork server's: signal it alone.
        try:
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            for process in _group(self.pid):
                process.send_signal(number)


def _run_child(
    channel: Connection, claims: Sequence[Claim], device: str, settings: Settings
) -> None:
    # Imported by name for the same reason as above; the fork server has it loaded already.
    import_module("worker.child").run(channel, claims, device, settings)


def _group(group_id: int) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group_id and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue


def _count_oom_kills() -> int:
    if not _OOM_EVENTS.exists():
        return 0
    counts = dict(line.split() for line in _OOM_EVENTS.read_text().splitlines())
    return int(counts.get("oom_kill", 0))
