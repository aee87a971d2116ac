"""Claims jobs, watches their training processes and hands in their end."""

import logging
import threading
import time
from dataclasses import dataclass

from contract.errors import LeaseLostError, UnavailableError
from contract.job import JobError, JobErrorCode, JobStatus, Released
from contract.settings import Settings
from contract.store import Claim, Ending, Store
from worker.gpu import gpu_bytes_of
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
            while not self._stopping.is_set() and (claim := self._claim()):
                self._train(claim)
        except UnavailableError:
            log.warning("the database is out of reach; trying again at the next poll")
        finally:
            self._slot.release()

    def stop(self) -> None:
        """Let go of the running job, which is queued again, and claim no more."""
        self._stopping.set()

    def wait_until_idle(self) -> None:
        """Return when no training process is left."""
        with self._slot:
            return

    def _claim(self) -> Claim | None:
        identity = self._identity
        return self._store.leases.claim(identity.name, identity.device, self._settings.lease_s)

    def _train(self, claim: Claim) -> None:
        log.info(
            "job claimed", extra={"job_id": claim.lease.job_id, "attempt": claim.lease.attempt}
        )
        process = TrainingProcess(claim, self._identity.device, self._settings)
        try:
            self._watch(claim, process)
        except LeaseLostError:
            log.info("no longer ours: ended, or lost", extra={"job_id": claim.lease.job_id})
        finally:
            process.end(self._settings.cancel_grace_s)
            process.close()

    def _watch(self, claim: Claim, process: TrainingProcess) -> None:
        """Follow the process to its end, or bring the end about."""
        deadline = time.monotonic() + claim.spec.run.max_seconds
        renewed = time.monotonic()
        while not process.wait(self._settings.heartbeat_s):
            if self._stopping.is_set():
                return self._hand_back(claim, process)
            if time.monotonic() > deadline:
                return self._end_overdue(claim, process)
            try:
                is_cancelled = self._store.leases.renew(claim.lease, self._settings.lease_s)
            except UnavailableError:
                if time.monotonic() - renewed > self._settings.lease_s:
                    raise LeaseLostError from None
                continue
            renewed = time.monotonic()
            if is_cancelled:
                return self._cancel(claim, process)
        if process.died:
            self._return_dead(claim, process)
        return None

    def _cancel(self, claim: Claim, process: TrainingProcess) -> None:
        """Answer `cancelled` only once the process and all it started are gone."""
        process.end(self._settings.cancel_grace_s)
        left = process.pids_left()
        released = Released(
            pids=len(left), gpu_bytes=gpu_bytes_of([process.pid, *left], self._identity.device)
        )
        self._store.leases.finish(claim.lease, Ending(JobStatus.CANCELLED, released=released))

    def _end_overdue(self, claim: Claim, process: TrainingProcess) -> None:
        process.end(self._settings.cancel_grace_s)
        limit = claim.spec.run.max_seconds
        self._fail(claim, JobErrorCode.TIME_LIMIT, f"longer than {limit} s", "/run/max_seconds")

    def _hand_back(self, claim: Claim, process: TrainingProcess) -> None:
        process.end(self._settings.cancel_grace_s)
        self._store.leases.hand_back(claim.lease)

    def _return_dead(self, claim: Claim, process: TrainingProcess) -> None:
        log.error("training process died", extra={"job_id": claim.lease.job_id})
        if process.ran_out_of_memory:
            reason = "the machine's memory was not enough: lower batch_size, hidden_size or seq_len"
            self._fail(claim, JobErrorCode.OUT_OF_MEMORY_HOST, reason, "/training/batch_size")
        else:
            self._store.leases.give_back(claim.lease, self._settings.max_attempts)

    def _fail(self, claim: Claim, code: JobErrorCode, message: str, param: str) -> None:
        error = JobError(code=code, message=message, param=param)
        self._store.leases.finish(claim.lease, Ending(JobStatus.FAILED, error=error))
