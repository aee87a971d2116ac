import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import text

from contract.errors import ConflictError, LeaseLostError
from contract.job import MOVES, JobStatus
from contract.spec import JobSpec
from contract.store import Ending, Lease, Store, migrate

SPEC = JobSpec.model_validate({"dataset": {"kind": "adding"}, "cell": {"kind": "rnn"}})
NUM_JOBS = 2
JOBS = st.integers(0, NUM_JOBS - 1)


class JobsAlike(RuleBasedStateMachine):
    """Drives jobs of one pack through all that clients, workers and the sweeper may do."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(f"sqlite:///{Path(self.folder.name) / 'unroll.db'}")
        migrate(self.store.engine)
        self.ids = [self.store.jobs.create(SPEC, max_queued=10).id for _ in range(NUM_JOBS)]
        self.leases: dict[str, list[Lease]] = {job_id: [] for job_id in self.ids}
        self.before = dict.fromkeys(self.ids, JobStatus.QUEUED)
        self.finals = dict.fromkeys(self.ids, 0)
        self.followed = dict.fromkeys(self.ids, 0)

    def status(self, job_id: str) -> JobStatus:
        """Where a job stands."""
        return self.store.jobs.read(job_id).status

    def newest_leases(self) -> list[Lease]:
        """Of each job that was ever claimed, the lease that was given last."""
        return [leases[-1] for leases in self.leases.values() if leases]

    @rule(limit=st.integers(1, NUM_JOBS))
    def a_worker_claims(self, limit: int) -> None:
        """Claim what waits, which must all have been queued."""
        for claimed in self.store.leases.claim("w", "cpu", 30, limit):
            assert self.before[claimed.lease.job_id] is JobStatus.QUEUED
            self.leases[claimed.lease.job_id].append(claimed.lease)

    @rule(place=JOBS)
    def the_newest_worker_finishes(self, place: int) -> None:
        """Finish with the newest lease, lost or not."""
        if leases := self.leases[self.ids[place]]:
            self._finish(leases[-1])

    @rule(place=JOBS)
    def a_stale_worker_finishes(self, place: int) -> None:
        """Finish with the oldest lease if there is a newer one, so it must be refused."""
        job_id = self.ids[place]
        status = self.status(job_id)
        if len(self.leases[job_id]) > 1:
            self._finish(self.leases[job_id][0])
        assert self.status(job_id) is status

    def _finish(self, lease: Lease) -> None:
        try:
            self.store.leases.finish(lease, Ending(JobStatus.SUCCEEDED))
            self.finals[lease.job_id] += 1
        except LeaseLostError:
            is_newest = lease == self.leases[lease.job_id][-1]
            assert not is_newest or self.status(lease.job_id) is not JobStatus.RUNNING

    @precondition(lambda self: self.newest_leases())
    @rule()
    def the_training_process_dies(self) -> None:
        """Give all jobs back as a supervisor does; none is left running."""
        self.store.leases.give_back(self.newest_leases(), max_attempts=3)
        assert JobStatus.RUNNING not in map(self.status, self.ids)

    @precondition(lambda self: self.newest_leases())
    @rule(alone=st.booleans())
    def the_worker_shuts_down_or_splits_its_pack(self, *, alone: bool) -> None:
        """Hand all jobs back; none is left running."""
        self.store.leases.hand_back(self.newest_leases(), alone=alone)
        assert JobStatus.RUNNING not in map(self.status, self.ids)

    @precondition(lambda self: self.newest_leases())
    @rule()
    def the_leases_are_renewed(self) -> None:
        """Renew all; exactly the running jobs are still ours."""
        running = {job_id for job_id in self.ids if self.status(job_id) is JobStatus.RUNNING}
        assert self.store.leases.renew_all(self.newest_leases(), 30).keys() == running

    @rule()
    def the_leases_run_out(self) -> None:
        """Let time pass, then sweep."""
        with self.store.engine.begin() as connection:
            connection.execute(text("UPDATE jobs SET lease_until = 1 WHERE status = 'running'"))
        self.store.jobs.return_lost(max_attempts=3)

    @rule(place=JOBS)
    def a_client_cancels(self, place: int) -> None:
        """Ask for the end of a job."""
        try:
            self.store.jobs.request_cancel(self.ids[place])
        except ConflictError:
            assert self.status(self.ids[place]).is_final

    @invariant()
    def only_moves_of_the_machine_are_made(self) -> None:
        """Whatever happened, each status moved along MOVES, and a final one stays."""
        for job_id, before in self.before.items():
            status = self.status(job_id)
            assert status is before or status in MOVES[before]
            self.before[job_id] = status

    @invariant()
    def success_comes_once_at_most(self) -> None:
        """No job ends twice."""
        assert max(self.finals.values()) <= 1

    @invariant()
    def a_follower_of_the_events_misses_nothing(self) -> None:
        """Ids go on by one through all attempts, and the newest event is the status."""
        for job_id, after in self.followed.items():
            new = self.store.events.read(job_id, after, 100).events
            assert [event.id for event in new] == list(range(after + 1, after + 1 + len(new)))
            self.followed[job_id] = after + len(new)
            newest = self.store.events.read(job_id, self.followed[job_id] - 1, 1).events
            assert [event.kind for event in newest] == [self.status(job_id)]

    def teardown(self) -> None:
        """Close the database."""
        self.store.close()
        self.folder.cleanup()


TestJobsAlike = JobsAlike.TestCase
TestJobsAlike.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
