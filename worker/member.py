"""One job of a pack in the training process: its record, its model, its end."""

from collections.abc import Callable

from torch import Tensor

from contract.artifacts import Artifacts
from contract.job import JobStatus
from contract.store import Claim, Ending, Lease, Report, Store
from worker.datasets.task import Dataset
from worker.failures import member_failures_written
from worker.model_files import store_model
from worker.reporter import Reporter
from worker.training.records import End, JobStep


class Member:
    """What one job's training brings; knows nothing of the others.

    Whatever goes wrong here is this job's own: it is written to it, and the others go on.
    """

    def __init__(self, store: Store, artifacts: Artifacts, claim: Claim, dataset: Dataset) -> None:
        self.claim = claim
        self.dataset = dataset
        self._store = store
        self._artifacts = artifacts
        self._reporter = Reporter(claim.lease.job_id, claim.spec, dataset.task)

    @property
    def lease(self) -> Lease:
        """The right to train this job."""
        return self.claim.lease

    def add(self, step: JobStep) -> None:
        """Take in one step."""
        self._reporter.add(step)

    def take_report(self) -> Report:
        """What came since the last report."""
        return self._reporter.take_report()

    def finish(self, end: End, parameters: Callable[[], dict[str, Tensor]]) -> None:
        """Store the model, then the rest of the record and the final diagnosis with the end.

        Args:
            end: of the training.
            parameters: gives the job's weights.
        """
        with member_failures_written(self._store, self.lease):
            store_model(self._artifacts, self.claim, parameters())
            report = self._reporter.take_last_report(end)
            self._store.leases.finish(self.lease, Ending(JobStatus.SUCCEEDED, last_report=report))
