"""Why a training process could not go on, written to its job as one of the typed causes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from contract.errors import LeaseLostError
from contract.job import JobError, JobErrorCode, JobStatus
from contract.store import Ending, Lease, Store
from worker.datasets.task import DatasetInvalidError

log = logging.getLogger(__name__)


@contextmanager
def failures_written(store: Store, lease: Lease) -> Iterator[None]:
    """End the job as failed, typed, when training cannot go on; the log has the details.

    Raises:
        LeaseLostError: this process no longer owns the job, so it is not its to end.
    """
    try:
        yield
    except LeaseLostError:
        raise
    except DatasetInvalidError as error:
        _fail(store, lease, JobErrorCode.DATASET_INVALID, str(error), "/dataset")
    except torch.OutOfMemoryError:
        reason = "the device's memory was not enough: lower batch_size, hidden_size or seq_len"
        _fail(store, lease, JobErrorCode.OUT_OF_MEMORY_DEVICE, reason, "/training/batch_size")
    except MemoryError:
        reason = "the machine's memory was not enough: lower batch_size, hidden_size or seq_len"
        _fail(store, lease, JobErrorCode.OUT_OF_MEMORY_HOST, reason, "/training/batch_size")
    except Exception:  # the boundary of the process: nothing may leave a job without an end
        log.exception("training failed", extra={"job_id": lease.job_id})
        reason = "the service failed while training; its log names this job"
        _fail(store, lease, JobErrorCode.INTERNAL, reason, None)


def _fail(store: Store, lease: Lease, code: JobErrorCode, message: str, param: str | None) -> None:
    error = JobError(code=code, message=message, param=param)
    store.leases.finish(lease, Ending(JobStatus.FAILED, error=error))
