"""Rings the workers' doorbell from a thread of its own, so that no request waits for the broker."""

import logging
import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Literal

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from contract.broker import count_rings, make_celery, queue_of, ring

log = logging.getLogger(__name__)

# Beyond this the broker has been away for long, and the sweeper will ring again anyway.
_BACKLOG = 10_000
# A broker that there is nothing to ring for is looked at this often.
_LOOK_EVERY_S = 5.0


class Doorbell:
    """Rings for jobs in the background; a ring that fails is left to the sweeper."""

    def __init__(self, redis_url: str | None) -> None:
        self._app = make_celery(redis_url) if redis_url else None
        self._waiting: queue.Queue[tuple[str, str] | None] = queue.Queue(_BACKLOG)
        self._thread = threading.Thread(target=self._run, args=(self._app,), daemon=True)
        self._is_reachable: bool | None = None

    @property
    def state(self) -> Literal["none", "reachable", "unreachable"]:
        """What the last ring or look found; "none" if there is no broker."""
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

    def _run(self, app: Celery) -> None:
        self._look(app)
        while (job := self._next(app)) is not None:
            self._attempt(partial(ring, app, *job))

    def _next(self, app: Celery) -> tuple[str, str] | None:
        """The next job to ring for, None at the end; looks at the broker while there is none."""
        while True:
            try:
                return self._waiting.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                self._look(app)

    def _look(self, app: Celery) -> None:
        self._attempt(partial(count_rings, app, queue_of("cpu")))

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except (OperationalError, RedisError, OSError):
            self._note(is_reachable=False)
        else:
            self._note(is_reachable=True)

    def _note(self, *, is_reachable: bool) -> None:
        if is_reachable and self._is_reachable is False:
            log.warning("broker reachable again")
        if not is_reachable and self._is_reachable is not False:
            log.warning("broker out of reach")
        self._is_reachable = is_reachable
