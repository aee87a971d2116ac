"""A job: its status, the moves between statuses, and what a client is told of it."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from contract.diagnosis import Verdict
from contract.spec import JobSpec

NO_WORKER = "a worker: none is running"
"""A job's `waiting_for` while no worker is up, or none has started yet."""


class JobStatus(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"  #: stored, waits for a worker
    RUNNING = "running"  #: a worker holds its lease
    PAUSED = "paused"  #: gave its slot back, keeps its place
    SUCCEEDED = "succeeded"  #: the training did what was asked, whatever came of it
    FAILED = "failed"  #: the service could not do it; `error` says why
    CANCELLED = "cancelled"  #: a client asked for the end, and the worker has let go

    @property
    def is_final(self) -> bool:
        """Whether no move leads out of this status."""
        return not MOVES[self]


# The state machine as data: from each status, the statuses it may move to. A running job goes
# back to queued when its worker is lost or shut down.
MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.CANCELLED, JobStatus.FAILED}),
    JobStatus.RUNNING: frozenset(
        {JobStatus.QUEUED, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED}
    ),
    JobStatus.PAUSED: frozenset({JobStatus.QUEUED, JobStatus.CANCELLED}),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}


class JobErrorCode(StrEnum):
    """Why a job failed."""

    WORKER_LOST = "worker_lost"  #: its worker or training process died, again and again
    OUT_OF_MEMORY_HOST = "out_of_memory_host"  #: the machine's memory was not enough
    OUT_OF_MEMORY_DEVICE = "out_of_memory_device"  #: the GPU's memory was not enough
    DATASET_INVALID = "dataset_invalid"  #: the data cannot be trained on
    TIME_LIMIT = "time_limit"  #: longer than `run.max_seconds`
    INTERNAL = "internal"  #: a defect of the service; its log has the details


class _Shown(BaseModel):
    """A part of an answer; every field is always there."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class JobError(_Shown):
    """Why the service could not do a job."""

    code: JobErrorCode
    message: str
    """One sentence for people."""
    param: str | None
    """JSON pointer to the part of the spec to change; null if none."""


class Progress(_Shown):
    """How far training has come."""

    step: int
    """Optimizer updates done."""
    max_steps: int
    fraction: float
    """step/max_steps, in [0, 1]."""
    eta_s: float | None
    """Seconds left at the present speed; null while unknown or when final."""
    steps_per_s: float | None
    """Training steps a second; null while unknown."""


class Latest(_Shown):
    """The newest value of each series; null while there is none, or where it is not finite."""

    loss: float | None = None
    """Mean per target over the batch, nats or squared units."""
    lr: float | None = None
    grad_norm: float | None = None
    """Global L2 norm before clipping."""
    val_loss: float | None = None
    """Mean per target on held-out data."""
    val_metric: float | None = None
    """Accuracy in [0, 1], or for a forecast the mean squared error in the data's units."""


class Released(_Shown):
    """What the worker still held of a job after letting go of it."""

    pids: int
    """Processes of the job still alive."""
    gpu_bytes: int
    """GPU memory still held by them."""


class Job(_Shown):
    """One training job."""

    id: str
    name: str
    tags: tuple[str, ...]
    status: JobStatus
    spec: JobSpec
    """As submitted, with every default filled in."""
    parent_id: str | None
    """The job this one was forked from."""
    sweep_id: str | None
    attempt: int
    """How often a worker has claimed it; also its fencing token."""
    progress: Progress
    latest: Latest
    verdict: Verdict | None
    """Of the latest diagnosis; null before the first."""
    error: JobError | None
    released: Released | None
    """Of a cancelled job, once its worker has let go; null before, and if no worker had it."""
    waiting_for: str | None
    """Why a queued job is not running, where that is known."""
    created_at: datetime
    started_at: datetime | None
    """When it was last claimed."""
    finished_at: datetime | None
