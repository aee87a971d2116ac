import pytest
import torch

from contract.errors import LeaseLostError
from contract.job import JobErrorCode, JobStatus
from contract.spec import JobSpec
from contract.store import Ending, Lease, Store
from worker.datasets.task import DatasetInvalidError
from worker.failures import failures_written


@pytest.fixture
def lease(store: Store, spec: JobSpec) -> Lease:
    """The lease of a job that is being trained."""
    store.jobs.create(spec, max_queued=10)
    (claimed,) = store.leases.claim("w", "cpu", 60, 1)
    return claimed.lease


def fail(error: Exception) -> None:
    """Stop as training would."""
    raise error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), JobErrorCode.OUT_OF_MEMORY_HOST),
        (torch.OutOfMemoryError("CUDA out of memory"), JobErrorCode.OUT_OF_MEMORY_DEVICE),
        (DatasetInvalidError("column x has gaps"), JobErrorCode.DATASET_INVALID),
        (RuntimeError("secret /etc/passwd"), JobErrorCode.INTERNAL),
    ],
)
def test_each_cause_ends_the_job_as_what_it_was(
    store: Store, lease: Lease, error: Exception, code: JobErrorCode
) -> None:
    """What stops training is written to the job as its type, without anything internal."""
    with failures_written(store, lease):
        fail(error)

    job = store.jobs.read(lease.job_id)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error.code is code
    assert "secret" not in job.error.message


def test_job_of_another_is_left_alone(store: Store, lease: Lease) -> None:
    """A process that has lost its lease ends no job."""
    with pytest.raises(LeaseLostError), failures_written(store, lease):
        raise LeaseLostError

    assert store.jobs.read(lease.job_id).status is JobStatus.RUNNING


def test_training_that_ends_well_is_left_alone(store: Store, lease: Lease) -> None:
    """Without an error nothing is written."""
    with failures_written(store, lease):
        store.leases.finish(lease, Ending(JobStatus.SUCCEEDED))

    assert store.jobs.read(lease.job_id).status is JobStatus.SUCCEEDED
