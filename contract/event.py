"""An event of a job: something that happened to it or was decided in its training."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Event(BaseModel):
    """Something that happened to a job at a moment."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    id: int
    """Counted from 1 in each job, without gaps; goes on through all of its attempts."""
    attempt: int
    """The job's attempt that it belongs to; 0 before the first."""
    step: int
    """Training step after which it happened."""
    kind: str
    """The status that the job moved to (`queued`, `running`, `succeeded`, `failed`, `cancelled`),
    or what was decided in training: `rollback`, `rollbacks_exhausted`, `lr_cut`, `lr_suggested`.
    There may come more."""
    detail: dict[str, float | int | str]
    """What belongs to this kind: the reason of a second `queued`, the `worker` of `running`, the
    `verdict` of `succeeded`, `code` and `message` of `failed`, lr and losses of the others."""
    created_at: datetime
