"""One job of a pack in the training process: its record, its model, its end."""

import logging
from collections.abc import Callable

from torch import Tensor

from contract.artifacts import Artifacts
from contract.errors import LeaseLostError
from contract.store import Claim, Store
from worker.datasets.task import Dataset
from worker.failures import member_failures_written
from worker.model_files import store_model
from worker.reporter import Reporter
from worker.training.records import JobStep

log = logging.getLogger(__name__)


class Member:
    """Writes what one job's training brings; knows nothing of the others."""

    def __init__(
        self, store: Store, artifacts: Artifacts, claim: Claim, dataset: Dataset, flush_s: float
    ) -> None:
        self.claim = claim
        self.dataset = dataset
        self._store = store
        self._artifacts = artifacts
        self._reporter = Reporter(store, claim.lease, claim.spec, dataset.task, flush_s)

    def take(self, step: JobStep, parameters: Callable[[], dict[str, Tensor]]) -> bool:
        """Record one step; hand the job in if it was its last.

        Args:
            step: of this job.
            parameters: gives the job's weights after the step.

        Returns:
            False if the job must not be trained any further: it failed, or is no longer ours.
        """
        try:
            with member_failures_written(self._store, self.claim.lease):
                self._reporter.add(step)
                if step.end:
                    store_model(self._artifacts, self.claim, parameters())
                    self._reporter.finish(step.end)
                return True
        except LeaseLostError:
            log.warning("lease lost", extra={"job_id": self.claim.lease.job_id})
        return False
