"""Database rows as the objects that clients and workers see."""

import math
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from contract.job import Job, JobError, JobStatus, Latest, Progress, Released
from contract.spec import JobSpec


def job_from_row(row: Row[Any]) -> Job:
    """A row of `jobs` as a Job; what no worker offers is filled in by the reader."""
    status = JobStatus(row.status)
    return Job(
        id=row.id,
        name=row.name,
        tags=tuple(row.tags),
        status=status,
        spec=JobSpec.model_validate(row.spec),
        parent_id=row.parent_id,
        sweep_id=row.sweep_id,
        attempt=row.attempt,
        progress=_progress(row, status),
        latest=Latest(**row.latest),
        verdict=row.verdict,
        error=JobError(**row.error) if row.error else None,
        released=Released(**row.released) if row.released else None,
        waiting_for=None,
        created_at=moment(row.created_at),
        started_at=moment_or_none(row.started_at),
        finished_at=moment_or_none(row.finished_at),
    )


def _progress(row: Row[Any], status: JobStatus) -> Progress:
    speed = row.steps_per_s
    is_moving = status is JobStatus.RUNNING and speed
    return Progress(
        step=row.step,
        max_steps=row.max_steps,
        fraction=row.step / row.max_steps,
        eta_s=round((row.max_steps - row.step) / speed, 1) if is_moving else None,
        steps_per_s=speed,
    )


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as an aware UTC time."""
    return datetime.fromtimestamp(seconds, UTC)


def moment_or_none(seconds: float | None) -> datetime | None:
    """As `moment`, None staying None."""
    return None if seconds is None else moment(seconds)


def finite_or_none(value: float | None) -> float | None:
    """The value as JSON holds it: None where it is not finite."""
    return value if value is not None and math.isfinite(value) else None
