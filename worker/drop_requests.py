"""The training process's end of the pipe to its supervisor: which jobs it is to let go of."""

import os
import queue
import signal
import threading
from contextlib import suppress
from multiprocessing.connection import Connection


class DropRequests:
    """Listens from a thread of its own; what was asked for is taken between two steps.

    When the pipe closes the supervisor is gone: this process and all it started end at once.
    """

    def __init__(self, channel: Connection) -> None:
        self._channel = channel
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def take(self) -> list[str]:
        """Ids of the jobs to let go of that were not taken yet."""
        taken = []
        with suppress(queue.Empty):
            while True:
                taken.append(self._waiting.get_nowait())
        return taken

    def answer(self, job_id: str) -> None:
        """Tell the supervisor that nothing is done for a job any more."""
        # Without a supervisor to hear it this process ends in a moment, see `_listen`.
        with suppress(OSError):
            self._channel.send_bytes(job_id.encode())

    def _listen(self) -> None:
        try:
            while True:
                self._waiting.put(self._channel.recv_bytes().decode())
        except (EOFError, OSError):
            os.killpg(0, signal.SIGKILL)
