"""The training process's end of the pipe to its supervisor: which jobs it is to let go of."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection


class DropRequests:
    """Listens from a thread of its own; what was asked for is taken between two steps.

    Args:
        channel: to the supervisor.
        when_closed: called once the pipe is closed, so the supervisor gone.
    """

    def __init__(self, channel: Connection, when_closed: Callable[[], None]) -> None:
        self._channel = channel
        self._when_closed = when_closed
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
        # Without a supervisor to hear it this process ends in a moment.
        with suppress(OSError):
            self._channel.send_bytes(job_id.encode())

    def _listen(self) -> None:
        try:
            while True:
                self._waiting.put(self._channel.recv_bytes().decode())
        except (EOFError, OSError):
            self._when_closed()
