"""Follows the training process of a pack: keeps the leases, sees cancels and time limits."""

import logging
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import suppress

from contract.errors import LeaseLostError, UnavailableError
from contract.job import JobError, JobErrorCode, JobStatus, Released
from contract.settings import Settings
from contract.store import Claim, Ending, Lease, Store
from worker.gpu import gpu_bytes_of
from worker.memory_error import out_of_memory
from worker.processes import TrainingProcess

log = logging.getLogger(__name__)


class PackWatch:
    """The jobs of one pack that are still to be ended, and the process that trains them.

    A job that ends by itself is handed in by the process; the next renewal no longer names it.
    """

    def __init__(
        self,
        store: Store,
        process: TrainingProcess,
        claims: Sequence[Claim],
        device: str,
        settings: Settings,
    ) -> None:
        self._store = store
        self._process = process
        self._device = device
        self._settings = settings
        self._was_alone = len(claims) == 1
        self._members = {claim.lease.job_id: claim for claim in claims}
        self._started = self._renewed = time.monotonic()

    def follow(self, stopping: threading.Event) -> None:
        """Return when no job of the pack is left, the process has ended, or all is lost.

        Args:
            stopping: set when the worker shuts down; then the jobs are queued again.
        """
        while self._members and not self._process.wait(self._settings.heartbeat_s):
            if stopping.is_set():
                self._process.end(self._settings.cancel_grace_s)
                self._store.leases.hand_back(self._leases())
                return
            self._end_overdue()
            if not self._renew():
                log.warning("leases lost: the database was out of reach for too long")
                return
        if self._members and self._process.died:
            self._return_dead()

    def _renew(self) -> bool:
        """Keep the leases and end what clients want ended; False if all are lost."""
        try:
            kept = self._store.leases.renew_all(self._leases(), self._settings.lease_s)
        except UnavailableError:
            return time.monotonic() - self._renewed <= self._settings.lease_s
        self._renewed = time.monotonic()
        self._members = {job_id: self._members[job_id] for job_id in kept}
        self._cancel([job_id for job_id, is_cancelled in kept.items() if is_cancelled])
        return True

    def _cancel(self, job_ids: Collection[str]) -> None:
        """Answer `cancelled` only once nothing is done for the jobs any more."""
        if job_ids:
            released = self._let_go(job_ids)
            for job_id in job_ids:
                self._finish(job_id, Ending(JobStatus.CANCELLED, released=released))

    def _end_overdue(self) -> None:
        seconds = time.monotonic() - self._started
        limits = {
            job_id: claim.spec.run.max_seconds
            for job_id, claim in self._members.items()
            if seconds > claim.spec.run.max_seconds
        }
        if limits:
            self._let_go(limits)
        for job_id, limit in limits.items():
            message, param = f"longer than {limit} s", "/run/max_seconds"
            error = JobError(code=JobErrorCode.TIME_LIMIT, message=message, param=param)
            self._finish(job_id, Ending(JobStatus.FAILED, error=error))

    def _let_go(self, job_ids: Collection[str]) -> Released:
        """Have the process drop some of its jobs; if these are all of them, end it.

        A process that does not answer in time is killed, and the other jobs are queued again.

        Returns:
            What is still held for them.
        """
        grace_s = self._settings.cancel_grace_s
        others = [claim.lease for job_id, claim in self._members.items() if job_id not in job_ids]
        if not others:
            self._process.end(grace_s)
        elif self._process.drop(job_ids, grace_s):
            return Released(pids=0, gpu_bytes=0)
        else:
            log.warning("killing a training process that did not let go of a job")
            self._process.kill(grace_s)
            self._store.leases.hand_back(others)
            self._members = {job_id: self._members[job_id] for job_id in job_ids}
        left = self._process.pids_left()
        held = gpu_bytes_of([self._process.pid, *left], self._device)
        return Released(pids=len(left), gpu_bytes=held)

    def _finish(self, job_id: str, ending: Ending) -> None:
        lease = self._members.pop(job_id).lease
        with suppress(LeaseLostError):  # it ended by itself in the meantime
            self._store.leases.finish(lease, ending)

    def _return_dead(self) -> None:
        leases = self._leases()
        log.error("training process died", extra={"job_ids": list(self._members)})
        if not self._process.ran_out_of_memory:
            self._store.leases.give_back(leases, self._settings.max_attempts)
        elif self._was_alone:
            error = out_of_memory(JobErrorCode.OUT_OF_MEMORY_HOST)
            self._finish(leases[0].job_id, Ending(JobStatus.FAILED, error=error))
        else:
            self._store.leases.hand_back(leases, alone=True)

    def _leases(self) -> list[Lease]:
        return [claim.lease for claim in self._members.values()]
