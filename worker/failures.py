"""Why training could not go on, written to the jobs concerned as one of the typed causes."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from contract.errors import LeaseLostError, UnavailableError
from contract.job import JobError, JobErrorCode, JobStatus
from contract.store import Ending, Lease, Store
from worker.datasets.task import DatasetInvalidError
from worker.memory_error import out_of_memory

log = logging.getLogger(__name__)


@contextmanager
def member_failures_written(store: Store, lease: Lease) -> Iterator[None]:
    """End one job of a pack as failed, typed, when it cannot go on; the log has the details.

    A lease that is lost is no failure: the job is another's.

    Raises:
        UnavailableError: the database is out of reach, so nothing can be written.
        MemoryError, torch.OutOfMemoryError, RuntimeError: out of memory, which is the whole
            pack's, so no one job's fault.
    """
    try:
        yield
    except UnavailableError:
        raise
    except LeaseLostError:
        log.warning("lease lost", extra={"job_id": lease.job_id})
    except Exception as error:
        if _memory_that_ran_out(error):
            raise
        _fail(store, lease, error)


@contextmanager
def pack_failures_written(store: Store, leases: Sequence[Lease]) -> Iterator[None]:
    """When a pack cannot go on, queue its unfinished jobs again, each to be trained alone.

    Only a job that was alone is ended as failed, typed: of several nobody knows whose fault it was.

    Raises:
        UnavailableError: the database is out of reach, so nothing can be written.
    """
    try:
        yield
    except UnavailableError:
        raise
    except Exception as error:  # the boundary of the process
        if len(leases) == 1:
            _fail(store, leases[0], error)
        else:
            log.exception("pack split: its jobs are trained one by one")
            store.leases.hand_back(leases, alone=True)


def _fail(store: Store, lease: Lease, cause: Exception) -> None:
    error = _error_of(cause)
    if error.code is JobErrorCode.INTERNAL:
        log.error("training failed", extra={"job_id": lease.job_id}, exc_info=cause)
    try:
        store.leases.finish(lease, Ending(JobStatus.FAILED, error=error))
    except LeaseLostError:
        log.warning("lease lost", extra={"job_id": lease.job_id})


def _error_of(cause: Exception) -> JobError:
    if isinstance(cause, DatasetInvalidError):
        code = JobErrorCode.DATASET_INVALID
        return JobError(code=code, message=str(cause), param="/dataset")
    if code_of_memory := _memory_that_ran_out(cause):
        return out_of_memory(code_of_memory)
    message = "the service failed while training; its log names this job"
    return JobError(code=JobErrorCode.INTERNAL, message=message, param=None)


def _memory_that_ran_out(cause: Exception) -> JobErrorCode | None:
    """Which memory was not enough; None if the cause is another one."""
    if isinstance(cause, torch.OutOfMemoryError):
        return JobErrorCode.OUT_OF_MEMORY_DEVICE
    # torch has no class of its own for the host's memory.
    is_torchs = isinstance(cause, RuntimeError) and "DefaultCPUAllocator" in str(cause)
    return JobErrorCode.OUT_OF_MEMORY_HOST if is_torchs or isinstance(cause, MemoryError) else None
