"""Child processes of the embedded stack: started, restarted when they die, ended in order."""

import ctypes
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)

_RESTART_AFTER_S = 1.0
# The worker's own grace for its training processes comes on top of what a gateway needs.
_STOP_WITHIN_S = 20.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Role:
    """One process to keep running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


class Supervision:
    """Keeps roles running until `stop`; ends them in the reverse of their order."""

    def __init__(self) -> None:
        self._running: list[tuple[Role, subprocess.Popen[bytes]]] = []
        self._stopping = threading.Event()

    def start(self, role: Role) -> None:
        """Start a role; must be called by the main thread, whose end also ends the process."""
        self._running.append((role, _launch(role)))

    def keep_running(self) -> None:
        """Restart what dies until `stop` is called from a signal handler."""
        while not self._stopping.wait(0.2):
            for at, (role, process) in enumerate(self._running):
                if process.poll() is None or self._stopping.is_set():
                    continue
                log.error("%s ended with %s; starting it again", role.name, process.returncode)
                time.sleep(_RESTART_AFTER_S)
                self._running[at] = (role, _launch(role))

    def stop(self) -> None:
        """Ask `keep_running` to return."""
        self._stopping.set()

    def end_all(self) -> None:
        """End every process, the last started first; kill what does not end in time."""
        for role, process in reversed(self._running):
            process.terminate()
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                log.error("%s did not end in %s s; killing it", role.name, _STOP_WITHIN_S)  # noqa: TRY400 - the trace says nothing
                process.kill()
                process.wait()


def _launch(role: Role) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches this process only, which then ends the others in order.
    return subprocess.Popen(  # noqa: S603 - our own commands
        list(role.command),
        env=dict(role.environment),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no other threads are alive here
    )


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
