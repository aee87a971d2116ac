"""Claims packs of jobs, and has a training process for one of them at a time."""

import logging
import threading
from dataclasses import dataclass

from contract.errors import UnavailableError
from contract.settings import Settings
from contract.store import Claim, Store
from worker.pack_watch import PackWatch
from worker.processes import TrainingProcess

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """Who a worker is."""

    name: str
    device: str  #: "cpu" or "cuda"


class Supervisor:
    """One device's slot: at most one training process at a time."""

    def __init__(self, store: Store, identity: Identity, settings: Settings) -> None:
        self._store = store
        self._identity = identity
        self._settings = settings
        self._slot = threading.Lock()
        self._stopping = threading.Event()

    def work(self) -> None:
        """Train queued jobs until there are none; returns at once if the slot is taken.

        Doorbells and the poll both end here, so a job is claimed the same way by either.
        """
        if not self._slot.acquire(blocking=False):
            return
        try:
            while not self._stopping.is_set() and (claims := self._claim()):
                self._train(claims)
        except UnavailableError:
            log.warning("the database is out of reach; trying again at the next poll")
        finally:
            self._slot.release()

    def stop(self) -> None:
        """Let go of the running jobs, which are queued again, and claim no more."""
        self._stopping.set()

    def wait_until_idle(self) -> None:
        """Return when no training process is left."""
        with self._slot:
            return

    def _claim(self) -> list[Claim]:
        identity, settings = self._identity, self._settings
        limit = settings.max_pack_cuda if identity.device == "cuda" else settings.max_pack_cpu
        return self._store.leases.claim(identity.name, identity.device, settings.lease_s, limit)

    def _train(self, claims: list[Claim]) -> None:
        for claim in claims:
            extra = {"job_id": claim.lease.job_id, "attempt": claim.lease.attempt}
            log.info("job claimed", extra=extra | {"pack_size": len(claims)})
        process = TrainingProcess(claims, self._identity.device, self._settings)
        watch = PackWatch(self._store, process, claims, self._identity.device, self._settings)
        try:
            watch.follow(self._stopping)
        finally:
            process.end(self._settings.cancel_grace_s)
            process.close()
