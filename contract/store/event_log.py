"""Appends to a job's log of events, in the transaction of what they tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import JSON, BigInteger, Connection, String, bindparam, func, insert, select

from contract.job import JobStatus
from contract.tables import events, jobs, now


@dataclass(frozen=True)
class NewEvent:
    """An event before it has its place in the log."""

    kind: str
    detail: Mapping[str, float | int | str]
    """Finite numbers and words."""
    step: int | None = None
    """None: the step at which the job stands."""


def append_events(connection: Connection, job_id: str, new: Sequence[NewEvent]) -> None:
    """Add events to the end of a job's log, under its present attempt.

    The transaction must hold the lock of the job's row: that is what keeps the numbers without
    gaps, and has a reader never see a later event before an earlier one. The log is never cut: an
    attempt that comes after goes on in it, so that who follows it by number misses nothing.
    """
    values = [
        {
            "of_job": job_id,
            "of_kind": event.kind,
            "of_detail": dict(event.detail),
            "of_step": event.step,
        }
        for event in new
    ]
    if values:
        connection.execute(_APPEND, values)


def append_status(
    connection: Connection, job_id: str, status: JobStatus, **detail: float | str
) -> None:
    """Add a job's move to a status, which must have been written already."""
    append_events(connection, job_id, [NewEvent(status, detail)])


_JOB: Final = bindparam("of_job", type_=String)
_LAST_SEQ: Final = select(func.max(events.c.seq)).where(events.c.job_id == _JOB).scalar_subquery()
_STEP: Final = select(jobs.c.step).where(jobs.c.id == _JOB).scalar_subquery()
_APPEND: Final = insert(events).values(
    job_id=_JOB,
    seq=func.coalesce(_LAST_SEQ, 0) + 1,
    attempt=select(jobs.c.attempt).where(jobs.c.id == _JOB).scalar_subquery(),
    step=func.coalesce(bindparam("of_step", type_=BigInteger), _STEP),
    kind=bindparam("of_kind", type_=String),
    detail=bindparam("of_detail", type_=JSON),
    created_at=now(),
)
