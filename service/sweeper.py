"""Looks after jobs nobody works on: rings again for queued ones, returns lost ones to the queue."""

import logging
import threading

from contract.errors import UnrollError
from contract.settings import Settings
from contract.store import Store
from service.doorbell import Doorbell

log = logging.getLogger(__name__)

# A queued job is rung for again after this long; its worker may just be busy.
_RING_AGAIN_S = 5.0


class Sweeper:
    """A thread that sweeps every few seconds; several gateways may sweep at once."""

    def __init__(self, store: Store, doorbell: Doorbell, settings: Settings) -> None:
        self._store = store
        self._doorbell = doorbell
        self._settings = settings
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to sweep."""
        self._thread.start()

    def stop(self) -> None:
        """End after the sweep under way."""
        self._stopping.set()
        self._thread.join()

    def sweep(self) -> None:
        """One sweep."""
        lost = self._store.jobs.return_lost(self._settings.max_attempts)
        if lost:
            log.warning("leases ran out", extra={"job_ids": lost})
        for job_id, device in self._store.jobs.list_unrung(_RING_AGAIN_S):
            self._doorbell.ring(job_id, device)

    def _run(self) -> None:
        while not self._stopping.wait(self._settings.sweep_s):
            try:
                self.sweep()
            except UnrollError as error:
                log.warning("sweep failed: %s", error.detail)
