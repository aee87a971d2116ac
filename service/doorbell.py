"""Rings the workers' doorbell from a thread of its own, so that no request waits for the broker."""

import logging
import queue
import threading
from typing import Literal

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from contract.broker import make_celery, ring

log = logging.getLogger(__name__)

# Beyond this the broker has been away for long, and the sweeper will ring again anyway.
_BACKLOG = 10_000


class Doorbell:
    """Rings for jobs in the background; a ring that fails is left to the sweeper."""

    def __init__(self, redis_url: str | None) -> None:
        self._app = make_celery(redis_url) if redis_url else None
        self._waiting: queue.Queue[tuple[str, str] | None] = queue.Queue(_BACKLOG)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._is_reachable = True

    @property
    def state(self) -> Literal["none", "reachable", "unreachable"]:
        """What the last ring found; "none" if there is no broker."""
        if self._app is None:
            return "none"
        return "reachable" if self._is_reachable else "unreachable"

    def start(self) -> None:
        """Begin to ring."""
        if self._app is not None:
            self._thread.start()

    def stop(self) -> None:
        """Stop after what is under way; what still waits is left to the sweeper."""
        if self._thread.is_alive():
            while not self._waiting.empty():
                self._waiting.get_nowait()
            self._waiting.put(None)
            self._thread.join(timeout=10)

    def ring(self, job_id: str, device: str) -> None:
        """Ring for a job; never blocks and never fails."""
        if self._app is not None:
            try:
                self._waiting.put_nowait((job_id, device))
            except queue.Full:
                log.warning("too many rings wait; left to the sweeper", extra={"job_id": job_id})

    def _run(self) -> None:
        while (job := self._waiting.get()) is not None:
            self._note(is_reachable=self._try_to_ring(*job))

    def _try_to_ring(self, job_id: str, device: str) -> bool:
        if self._app is None:
            return False
        try:
            ring(self._app, job_id, device)
        except (OperationalError, RedisError, OSError):
            return False
        return True

    def _note(self, *, is_reachable: bool) -> None:
        if is_reachable is not self._is_reachable:
            log.warning("broker %s", "reachable again" if is_reachable else "out of reach")
        self._is_reachable = is_reachable
