"""Jobs as clients see them: create, read, list, cancel, and what the sweeper looks after."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, and_, func, insert, or_, select
from sqlalchemy import update as sql_update
from ulid import ULID

from contract.errors import ConflictError, FieldError, InvalidError, LimitError, NotFoundError
from contract.job import MOVES, NO_WORKER, Job, JobStatus
from contract.pack_key import pack_key
from contract.spec import JobSpec, Upload
from contract.store.engine import reading, writing
from contract.store.event_log import append_status
from contract.store.idempotency import claim_key, keep_answer
from contract.store.job_loss import let_go
from contract.store.pack_choice import live_devices
from contract.store.rows import job_from_row
from contract.tables import datasets, job_tags, jobs, now


@dataclass(frozen=True)
class JobFilter:
    """Which jobs to list; None is any."""

    status: JobStatus | None = None
    tag: str | None = None
    cell: str | None = None
    dataset: str | None = None
    verdict: str | None = None
    sweep_id: str | None = None


class JobStore:
    """Jobs; each method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, spec: JobSpec, parent_id: str | None = None, *, max_queued: int) -> Job:
        """Store a new job as queued; durable once this returns.

        Raises:
            InvalidError: the spec names a dataset that is not there.
            LimitError: `max_queued` jobs are waiting already.
        """
        with writing(self._engine) as connection:
            return _create(connection, spec, parent_id, max_queued)

    def create_once(self, key: str, spec: JobSpec, *, max_queued: int) -> tuple[Job, bool]:
        """As `create`, but at most once for a key; returns the job, and whether it is a replay.

        Key and job are stored in one transaction. A key is kept for a day.

        Raises:
            InvalidError: as `create`, or the key was used with another spec.
            LimitError: as `create`.
        """
        with writing(self._engine) as connection:
            known = claim_key(connection, key, spec)
            if known is not None:
                return known, True
            job = _create(connection, spec, None, max_queued)
            keep_answer(connection, key, job)
            return job, False

    def read(self, job_id: str) -> Job:
        """One job, with what it waits for; NotFoundError if there is none."""
        with reading(self._engine) as connection:
            job = job_from_row(_row(connection, job_id))
            return _with_waiting_for(job, live_devices(connection))

    def read_page(self, wanted: JobFilter, limit: int, before: str | None) -> list[Job]:
        """At most `limit` jobs, newest first, those with ids below `before` if it is given."""
        query = select(jobs).where(*_conditions(wanted)).order_by(jobs.c.id.desc()).limit(limit)
        if before:
            query = query.where(jobs.c.id < before)
        with reading(self._engine) as connection:
            devices = live_devices(connection)
            found = connection.execute(query).all()
        return [_with_waiting_for(job_from_row(row), devices) for row in found]

    def request_cancel(self, job_id: str) -> Job:
        """Cancel a waiting job at once; ask a running one's worker to let go of it.

        Raises:
            NotFoundError: there is no such job.
            ConflictError: the job is final already.
        """
        with writing(self._engine) as connection:
            status = JobStatus(_locked_row(connection, job_id).status)
            if JobStatus.CANCELLED not in MOVES[status]:
                raise ConflictError(f"the job is {status}; only an unfinished job can be cancelled")
            values: dict[str, object] = {"cancel_requested": True}
            if status is not JobStatus.RUNNING:
                values |= {"status": JobStatus.CANCELLED, "finished_at": now()}
            connection.execute(sql_update(jobs).where(jobs.c.id == job_id).values(values))
            if status is not JobStatus.RUNNING:
                append_status(connection, job_id, JobStatus.CANCELLED)
            return job_from_row(_row(connection, job_id))

    def list_unrung(self, older_than_s: float, limit: int = 100) -> list[tuple[str, str]]:
        """Ids and devices of queued jobs not rung for so long; marks them rung."""
        silent = or_(jobs.c.rung_at.is_(None), jobs.c.rung_at < now() - older_than_s)
        due = (
            select(jobs.c.id)
            .where(jobs.c.status == JobStatus.QUEUED, silent)
            .order_by(jobs.c.priority.desc(), jobs.c.created_at)
            .limit(limit)
            .scalar_subquery()
        )
        change = sql_update(jobs).where(jobs.c.id.in_(due)).values(rung_at=now())
        with writing(self._engine) as connection:
            found = connection.execute(change.returning(jobs.c.id, jobs.c.device)).all()
        return [(row.id, row.device) for row in found]

    def return_lost(self, max_attempts: int) -> list[str]:
        """End or queue again the running jobs whose lease ran out; returns their ids.

        A job that was to be cancelled is cancelled; one that lost `max_attempts` workers fails.
        """
        lost = and_(jobs.c.status == JobStatus.RUNNING, jobs.c.lease_until < now())
        # By id, as a worker locks the jobs of its pack: two that lock alike never wait in a ring.
        locked = select(jobs).where(lost).order_by(jobs.c.id).with_for_update()
        with writing(self._engine) as connection:
            found = connection.execute(locked).all()
            for row in found:
                let_go(connection, row, max_attempts)
        return [row.id for row in found]


def _create(connection: Connection, spec: JobSpec, parent_id: str | None, max_queued: int) -> Job:
    _check_queue(connection, max_queued)
    _check_dataset(connection, spec)
    job_id = f"job_{str(ULID()).lower()}"
    connection.execute(insert(jobs).values(_new_row(job_id, spec, parent_id)))
    for tag in set(spec.tags):
        connection.execute(insert(job_tags).values(tag=tag, job_id=job_id))
    append_status(connection, job_id, JobStatus.QUEUED)
    job = job_from_row(_row(connection, job_id))
    return _with_waiting_for(job, live_devices(connection))


def _new_row(job_id: str, spec: JobSpec, parent_id: str | None) -> dict[str, object]:
    return {
        "id": job_id,
        "name": spec.name,
        "tags": list(spec.tags),
        "status": JobStatus.QUEUED,
        "spec": spec.model_dump(mode="json"),
        "parent_id": parent_id,
        "cell": spec.cell.kind,
        "dataset": spec.dataset.kind,
        "dataset_id": spec.dataset.dataset_id if isinstance(spec.dataset, Upload) else None,
        "device": spec.run.device,
        "priority": spec.run.priority,
        "cancel_requested": False,
        "max_steps": spec.training.max_steps,
        "latest": {},
        "created_at": now(),
        "pack_key": pack_key(spec),
    }


def _check_queue(connection: Connection, max_queued: int) -> None:
    waiting = select(func.count()).select_from(jobs).where(jobs.c.status == JobStatus.QUEUED)
    if connection.execute(waiting).scalar_one() >= max_queued:
        raise LimitError(f"{max_queued} jobs are waiting already (max_queued_jobs)")


def _check_dataset(connection: Connection, spec: JobSpec) -> None:
    """The dataset must exist in the same transaction: it cannot be deleted in between."""
    if isinstance(spec.dataset, Upload):
        wanted = select(datasets.c.id).where(datasets.c.id == spec.dataset.dataset_id)
        if connection.execute(wanted.with_for_update()).first() is None:
            reason = f"there is no dataset {spec.dataset.dataset_id}"
            raise InvalidError(reason, (FieldError("/dataset/dataset_id", reason),))


def _locked_row(connection: Connection, job_id: str) -> Row[Any]:
    """The row, which no claim can change until this transaction ends."""
    connection.execute(select(jobs.c.id).where(jobs.c.id == job_id).with_for_update())
    return _row(connection, job_id)


def _row(connection: Connection, job_id: str) -> Row[Any]:
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).first()
    if row is None:
        raise NotFoundError("there is no such job")
    return row


def _conditions(wanted: JobFilter) -> list[ColumnElement[bool]]:
    columns = {
        "status": wanted.status,
        "cell": wanted.cell,
        "dataset": wanted.dataset,
        "verdict": wanted.verdict,
        "sweep_id": wanted.sweep_id,
    }
    conditions = [jobs.c[name] == value for name, value in columns.items() if value is not None]
    if wanted.tag is not None:
        tagged = select(job_tags.c.job_id).where(job_tags.c.tag == wanted.tag)
        conditions.append(jobs.c.id.in_(tagged))
    return conditions


def _with_waiting_for(job: Job, devices: set[str]) -> Job:
    if job.status is not JobStatus.QUEUED:
        return job
    return job.model_copy(update={"waiting_for": _waiting_for(job.spec.run.device, devices)})


def _waiting_for(device: str, devices: set[str]) -> str:
    if not devices:
        return NO_WORKER
    if device != "auto" and device not in devices:
        return f"a worker with device {device}: none is running"
    return "a free worker"
