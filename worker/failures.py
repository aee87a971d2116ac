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

    Raises:
        LeaseLostError: this process no longer owns the job, so it is not its to end.
        UnavailableError: the database is out of reach, so nothing can be written.
        MemoryError, torch.OutOfMemoryError: memory is the whole pack's, so no one job's fault.
    """
    try:
        yield
    except (LeaseLostError, UnavailableError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - nothing may leave a job without an end
        _fail(store, lease, error)


@contextmanager
def pack_failures_written(store: Store, leases: Sequence[Lease]) -> Iterator[None]:
    """When a pack cannot go on, queue its unfinished jobs again, each to be trained alone.

    Only a job that was alone is ended as failed, typed: of several nobody knows whose fault it was.

    Raises:
        LeaseLostError: this process no longer owns the one job, so it is not its to end.
        UnavailableError: the database is out of reach, so nothing can be written.
    """
    try:
        yield
    except (LeaseLostError, UnavailableError):
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
    store.leases.finish(lease, Ending(JobStatus.FAILED, error=error))


def _error_of(cause: Exception) -> JobError:
    match cause:
        case DatasetInvalidError():
            code = JobErrorCode.DATASET_INVALID
            return JobError(code=code, message=str(cause), param="/dataset")
        case torch.OutOfMemoryError():
            return out_of_memory(JobErrorCode.OUT_OF_MEMORY_DEVICE)
        case MemoryError():
            return out_of_memory(JobErrorCode.OUT_OF_MEMORY_HOST)
        case _:
            message = "the service failed while training; its log names this job"
            return JobError(code=JobErrorCode.INTERNAL, message=message, param=None)
