import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import text

from contract.errors import ConflictError, LeaseLostError
from contract.job import MOVES, JobStatus
from contract.spec import JobSpec
from contract.store import Ending, Lease, Store, migrate

SPEC = JobSpec.model_validate({"dataset": {"kind": "adding"}, "cell": {"kind": "rnn"}})


class OneJob(RuleBasedStateMachine):
    """Drives one job through every sequence of what clients, workers and the sweeper may do."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(f"sqlite:///{Path(self.folder.name) / 'unroll.db'}")
        migrate(self.store.engine)
        self.job_id = self.store.jobs.create(SPEC, max_queued=10).id
        self.leases: list[Lease] = []
        self.before = JobStatus.QUEUED
        self.finals = 0

    def status(self) -> JobStatus:
        """Where the job stands."""
        return self.store.jobs.read(self.job_id).status

    @rule()
    def a_worker_claims(self) -> None:
        """Claim if the job is there to be claimed."""
        if claimed := self.store.leases.claim("w", "cpu", 30):
            self.leases.append(claimed.lease)

    @precondition(lambda self: self.leases)
    @rule()
    def the_newest_worker_finishes(self) -> None:
        """Finish with the newest lease, lost or not."""
        self._finish(self.leases[-1])

    @precondition(lambda self: len(self.leases) > 1)
    @rule()
    def a_stale_worker_finishes(self) -> None:
        """Finish with the oldest lease; a newer one exists, so it must be refused."""
        status = self.status()
        self._finish(self.leases[0])
        assert self.status() is status

    def _finish(self, lease: Lease) -> None:
        try:
            self.store.leases.finish(lease, Ending(JobStatus.SUCCEEDED))
            self.finals += 1
        except LeaseLostError:
            assert lease != self.leases[-1] or self.status() is not JobStatus.RUNNING

    @precondition(lambda self: self.leases)
    @rule()
    def the_training_process_dies(self) -> None:
        """Give the job back as a supervisor does."""
        try:
            self.store.leases.give_back(self.leases[-1], max_attempts=3)
        except LeaseLostError:
            assert self.status() is not JobStatus.RUNNING

    @rule()
    def the_lease_runs_out(self) -> None:
        """Let time pass, then sweep."""
        with self.store.engine.begin() as connection:
            connection.execute(text("UPDATE jobs SET lease_until = 1 WHERE status = 'running'"))
        self.store.jobs.return_lost(max_attempts=3)

    @rule()
    def a_client_cancels(self) -> None:
        """Ask for the end."""
        try:
            self.store.jobs.request_cancel(self.job_id)
        except ConflictError:
            assert self.status().is_final

    @invariant()
    def only_moves_of_the_machine_are_made(self) -> None:
        """Whatever happened, the status moved along MOVES, and a final one stays."""
        status = self.status()
        if status is not self.before:
            # A cancel of a lost job may pass through the queue within one rule.
            assert status in MOVES[self.before]
        self.before = status

    @invariant()
    def success_comes_once_at_most(self) -> None:
        """No job ends twice."""
        assert self.finals <= 1

    def teardown(self) -> None:
        """Close the database."""
        self.store.close()
        self.folder.cleanup()


TestOneJob = OneJob.TestCase
TestOneJob.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
