"""A pack in training: steps go to the members, reports to the store, and members leave."""

import logging
import math
import time
from collections.abc import Sequence
from functools import partial

from contract.store import Store
from worker.drop_requests import DropRequests
from worker.failures import member_failures_written
from worker.member import Member
from worker.training.loop import Trainer
from worker.training.records import JobStep

log = logging.getLogger(__name__)


class RunningPack:
    """The members of a pack that are still trained.

    Args:
        store: where their reports go, those of all members in one transaction: a commit waits
            for the disk, and one a member took two fifths of the time of a pack of 16.
        members: in the trainer's order.
        trainer: of exactly these jobs.
        flush_s: seconds for which reports may be held back.
    """

    def __init__(
        self, store: Store, members: Sequence[Member], trainer: Trainer, flush_s: float
    ) -> None:
        self._store = store
        self._trainer = trainer
        self._flush_s = flush_s
        self._running = dict(enumerate(members))
        self._flushed = -math.inf

    def train(self, requests: DropRequests) -> None:
        """Train until every member has ended or was dropped."""
        for steps in self._trainer.steps():
            for step in steps:
                self._take(step)
            for job_id in requests.take():
                self._drop([index for index in self._running if self._id_of(index) == job_id])
                requests.answer(job_id)
            # The first step is reported at once.
            if time.monotonic() - self._flushed >= self._flush_s:
                self._flush()

    def _take(self, step: JobStep) -> None:
        self._running[step.index].add(step)
        if step.end:
            member = self._running.pop(step.index)
            member.finish(step.end, partial(self._trainer.parameters, step.index))

    def _flush(self) -> None:
        reports = {}
        for member in self._running.values():
            with member_failures_written(self._store, member.lease):
                reports[member.lease] = member.take_report()
        kept = self._store.leases.report_all(reports)
        self._flushed = time.monotonic()
        self._drop([index for index, member in self._running.items() if member.lease not in kept])

    def _drop(self, indices: Sequence[int]) -> None:
        """Train these no more: they failed, are another's, or a client or a limit ended them."""
        for index in indices:
            log.info("job dropped", extra={"job_id": self._id_of(index)})
            del self._running[index]
            self._trainer.drop(index)

    def _id_of(self, index: int) -> str:
        return self._running[index].lease.job_id
