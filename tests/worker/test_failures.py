import pytest
import torch

from contract.errors import LeaseLostError, UnavailableError
from contract.job import JobErrorCode, JobStatus
from contract.spec import JobSpec
from contract.store import Ending, Lease, Store
from worker.datasets.task import DatasetInvalidError
from worker.failures import member_failures_written, pack_failures_written

OUT_OF_MEMORY = [
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
    torch.OutOfMemoryError("CUDA out of memory"),
]


@pytest.fixture
def leases(store: Store, spec: JobSpec) -> list[Lease]:
    """The leases of a pack of two jobs that are being trained."""
    for _ in range(2):
        store.jobs.create(spec, max_queued=10)
    return [claimed.lease for claimed in store.leases.claim("w", "cpu", 60, 2)]


@pytest.fixture
def lease(leases: list[Lease]) -> Lease:
    """The lease of one of them."""
    return leases[0]


def fail(error: Exception) -> None:
    """Stop as training would."""
    raise error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OUT_OF_MEMORY[0], JobErrorCode.OUT_OF_MEMORY_HOST),
        (OUT_OF_MEMORY[1], JobErrorCode.OUT_OF_MEMORY_HOST),
        (OUT_OF_MEMORY[2], JobErrorCode.OUT_OF_MEMORY_DEVICE),
        (DatasetInvalidError("column x has gaps"), JobErrorCode.DATASET_INVALID),
        (RuntimeError("secret /etc/passwd"), JobErrorCode.INTERNAL),
    ],
)
def test_each_cause_ends_the_job_as_what_it_was(
    store: Store, lease: Lease, error: Exception, code: JobErrorCode
) -> None:
    """What stops a job alone is written to it as its type, without anything internal."""
    with pack_failures_written(store, [lease]):
        fail(error)

    job = store.jobs.read(lease.job_id)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error.code is code
    assert "secret" not in job.error.message


def test_one_members_failure_is_its_own(store: Store, leases: list[Lease]) -> None:
    """A member that fails by itself ends, typed, while the other goes on."""
    with member_failures_written(store, leases[0]):
        fail(DatasetInvalidError("column x has gaps"))

    first, second = (store.jobs.read(lease.job_id) for lease in leases)
    assert first.error is not None
    assert first.error.code is JobErrorCode.DATASET_INVALID
    assert second.status is JobStatus.RUNNING


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_memory_is_never_one_members_failure(store: Store, lease: Lease, error: Exception) -> None:
    """Running out of memory in the midst of one member's work ends no job; the pack decides."""
    with pytest.raises(type(error)), member_failures_written(store, lease):
        raise error

    assert store.jobs.read(lease.job_id).status is JobStatus.RUNNING


@pytest.mark.parametrize("error", [*OUT_OF_MEMORY, RuntimeError("a defect")])
def test_pack_that_cannot_go_on_is_split(
    store: Store, leases: list[Lease], error: Exception
) -> None:
    """Whatever stops a pack, its jobs wait again and are then claimed one by one."""
    with pack_failures_written(store, leases):
        fail(error)

    packs = [store.leases.claim("w", "cpu", 60, 16) for _ in leases]
    assert [[claimed.lease.job_id for claimed in pack] for pack in packs] == [
        [lease.job_id] for lease in leases
    ]


def test_split_leaves_the_finished_alone(store: Store, leases: list[Lease]) -> None:
    """A member that had ended before the pack was split is not trained again."""
    store.leases.finish(leases[0], Ending(JobStatus.SUCCEEDED))

    with pack_failures_written(store, leases):
        fail(MemoryError())

    statuses = [store.jobs.read(lease.job_id).status for lease in leases]
    assert statuses == [JobStatus.SUCCEEDED, JobStatus.QUEUED]


def test_database_out_of_reach_ends_no_job(store: Store, lease: Lease) -> None:
    """That nothing can be written now is not written to a job as its failure later."""
    for written in (member_failures_written(store, lease), pack_failures_written(store, [lease])):
        with pytest.raises(UnavailableError), written:
            raise UnavailableError("out of reach")

    assert store.jobs.read(lease.job_id).status is JobStatus.RUNNING


def test_lost_lease_is_no_failure(store: Store, lease: Lease) -> None:
    """A member whose lease is lost is left to its new owner, and nothing is raised."""
    with member_failures_written(store, lease):
        fail(LeaseLostError())

    assert store.jobs.read(lease.job_id).status is JobStatus.RUNNING


def test_failure_after_the_lease_is_another_attempts(store: Store, lease: Lease) -> None:
    """What stops a stale process is not written to the job that another now trains."""
    store.leases.hand_back([lease])
    store.leases.claim("another", "cpu", 60, 1)

    with pack_failures_written(store, [lease]):
        fail(RuntimeError("a defect"))

    assert store.jobs.read(lease.job_id).status is JobStatus.RUNNING


def test_training_that_ends_well_is_left_alone(store: Store, leases: list[Lease]) -> None:
    """Without an error nothing is written."""
    with pack_failures_written(store, leases), member_failures_written(store, leases[0]):
        store.leases.finish(leases[0], Ending(JobStatus.SUCCEEDED))

    statuses = [store.jobs.read(lease.job_id).status for lease in leases]
    assert statuses == [JobStatus.SUCCEEDED, JobStatus.RUNNING]
