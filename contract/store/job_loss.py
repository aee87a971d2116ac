"""What becomes of a job whose worker or training process is gone."""

from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy import update as sql_update

from contract.job import JobErrorCode, JobStatus
from contract.store.event_log import append_status
from contract.tables import jobs, now


def let_go(
    connection: Connection, row: Row[Any], max_attempts: int | None, *, alone: bool = False
) -> None:
    """Queue a running job again, or end it.

    One that was to be cancelled is cancelled. One that is lost a second time trains alone from
    then on: a job that kills its process must not take others with it until all of them have
    failed.

    Args:
        connection: holds the lock of the job's row.
        row: the job's.
        max_attempts: from this attempt on it fails; None: it was not its worker's death.
        alone: whether it is to be trained by itself from now on.
    """
    if row.cancel_requested:
        _end(connection, row, JobStatus.CANCELLED)
    elif max_attempts is not None and row.attempt >= max_attempts:
        _end(connection, row, JobStatus.FAILED, f"its worker was lost {row.attempt} times")
    else:
        is_lost = max_attempts is not None
        is_alone = alone or (is_lost and row.attempt > 1)
        values = {
            "status": JobStatus.QUEUED,
            "rung_at": None,
            "pack_key": None if is_alone else row.pack_key,
        }
        _change(connection, row, values)
        reason = "worker_lost" if is_lost else "handed_back"
        append_status(connection, row.id, JobStatus.QUEUED, reason=reason)


def _end(
    connection: Connection, row: Row[Any], status: JobStatus, message: str | None = None
) -> None:
    code = JobErrorCode.WORKER_LOST
    error = {"code": code, "message": message, "param": None} if message else None
    _change(connection, row, {"status": status, "error": error, "finished_at": now()})
    detail = {"code": code, "message": message} if message else {}
    append_status(connection, row.id, status, **detail)


def _change(connection: Connection, row: Row[Any], values: dict[str, object]) -> None:
    released = {"worker": None, "lease_until": None}
    change = sql_update(jobs).where(jobs.c.id == row.id)
    connection.execute(change.values(released | values))
