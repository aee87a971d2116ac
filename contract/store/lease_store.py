"""Jobs as workers see them: claim, keep, write, hand in; every write is fenced by the attempt."""

from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, delete, insert, select
from sqlalchemy import update as sql_update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from contract.curve import Curve, pack_chunk
from contract.diagnosis import Diagnosis
from contract.errors import LeaseLostError
from contract.flow import Flow, pack_flow
from contract.job import JobError, JobStatus, Latest, Released
from contract.spec import JobSpec
from contract.store.engine import writing
from contract.store.job_store import after_loss
from contract.store.rows import finite_or_none
from contract.tables import curve_chunks, diagnoses, evaluations, flows, jobs, now


@dataclass(frozen=True)
class Lease:
    """The right to train a job; `attempt` is the fencing token that every write names."""

    job_id: str
    attempt: int


@dataclass(frozen=True)
class Claim:
    """A job that this worker now owns."""

    lease: Lease
    spec: JobSpec


@dataclass(frozen=True)
class Evaluation:
    """Held-out results after a step; inf and nan as they came, None if there is no metric."""

    step: int
    val_loss: float
    val_metric: float | None


@dataclass(frozen=True)
class Report:
    """What a worker saw since its last report; written as a whole or not at all."""

    curve: Curve
    latest: Latest
    steps_per_s: float | None
    evaluations: tuple[Evaluation, ...] = ()
    flows: tuple[Flow, ...] = ()
    diagnosis: Diagnosis | None = None


@dataclass(frozen=True)
class Ending:
    """How a job ends."""

    status: JobStatus
    error: JobError | None = None
    released: Released | None = None
    last_report: Report | None = field(default=None, repr=False)


class LeaseStore:
    """What workers do with jobs; each method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def claim(self, worker: str, device: str, lease_s: float) -> Claim | None:
        """Take the queued job that comes first for this device; None if there is none.

        What an earlier attempt has written is dropped in the same transaction, so that a curve
        never has a step twice.
        """
        first = (
            select(jobs.c.id)
            .where(jobs.c.status == JobStatus.QUEUED, jobs.c.device.in_(["auto", device]))
            .order_by(jobs.c.priority.desc(), jobs.c.created_at, jobs.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        change = (
            sql_update(jobs)
            .where(jobs.c.id == first, jobs.c.status == JobStatus.QUEUED)
            .values(
                status=JobStatus.RUNNING,
                attempt=jobs.c.attempt + 1,
                worker=worker,
                lease_until=now() + lease_s,
                started_at=now(),
                step=0,
                latest={},
                verdict=None,
                steps_per_s=None,
            )
            .returning(jobs.c.id, jobs.c.attempt, jobs.c.spec)
        )
        with writing(self._engine) as connection:
            row = connection.execute(change).first()
            if row is None:
                return None
            _drop_reports(connection, row.id)
        return Claim(Lease(row.id, row.attempt), JobSpec.model_validate(row.spec))

    def renew(self, lease: Lease, lease_s: float) -> bool:
        """Keep the lease; returns whether a client asks for the job's end.

        Raises:
            LeaseLostError: another attempt owns the job, or it is final.
        """
        with writing(self._engine) as connection:
            _fenced_update(connection, lease, {"lease_until": now() + lease_s})
            wanted = select(jobs.c.cancel_requested).where(jobs.c.id == lease.job_id)
            return bool(connection.execute(wanted).scalar_one())

    def report(self, lease: Lease, report: Report) -> None:
        """Add what was seen to the job's curves, evaluations, flow and diagnosis.

        Raises:
            LeaseLostError: another attempt owns the job, or it is final; nothing is written.
        """
        with writing(self._engine) as connection:
            _fenced_update(connection, lease, _progress_of(report))
            _insert_report(connection, lease.job_id, report)

    def finish(self, lease: Lease, ending: Ending) -> None:
        """End the job, with its last report in the same transaction.

        Raises:
            LeaseLostError: another attempt owns the job, or it is final; nothing is written.
        """
        values: dict[str, object] = {
            "status": ending.status,
            "error": ending.error.model_dump(mode="json") if ending.error else None,
            "released": ending.released.model_dump() if ending.released else None,
            "worker": None,
            "lease_until": None,
            "finished_at": now(),
        }
        report = ending.last_report
        with writing(self._engine) as connection:
            _fenced_update(connection, lease, values | (_progress_of(report) if report else {}))
            if report:
                _insert_report(connection, lease.job_id, report)

    def give_back(self, lease: Lease, max_attempts: int) -> None:
        """Queue the job again, its training process having died; see `after_loss`.

        Raises:
            LeaseLostError: another attempt owns the job, or it is final.
        """
        with writing(self._engine) as connection:
            _fenced_update(connection, lease, {"lease_until": None})
            row = connection.execute(select(jobs).where(jobs.c.id == lease.job_id)).one()
            change = sql_update(jobs).where(jobs.c.id == lease.job_id)
            connection.execute(change.values(after_loss(row, max_attempts)))

    def hand_back(self, lease: Lease) -> None:
        """Queue the job again without counting the attempt as lost: this worker shuts down.

        Raises:
            LeaseLostError: another attempt owns the job, or it is final.
        """
        values: dict[str, object] = {"status": JobStatus.QUEUED, "worker": None}
        values |= {"lease_until": None, "rung_at": None}
        with writing(self._engine) as connection:
            _fenced_update(connection, lease, values)


def _fenced_update(connection: Connection, lease: Lease, values: dict[str, object]) -> None:
    """Change the job only if this attempt still owns it; takes the row's lock first."""
    change = sql_update(jobs).where(
        jobs.c.id == lease.job_id,
        jobs.c.attempt == lease.attempt,
        jobs.c.status == JobStatus.RUNNING,
    )
    if connection.execute(change.values(values)).rowcount != 1:
        raise LeaseLostError


def _progress_of(report: Report) -> dict[str, object]:
    values: dict[str, object] = {
        "latest": report.latest.model_dump(),
        "steps_per_s": report.steps_per_s,
    }
    if len(report.curve):
        values["step"] = int(report.curve.step_N[-1])
    if report.diagnosis:
        values["verdict"] = report.diagnosis.verdict
    return values


def _insert_report(connection: Connection, job_id: str, report: Report) -> None:
    if len(report.curve):
        connection.execute(
            insert(curve_chunks).values(
                job_id=job_id,
                first_step=int(report.curve.step_N[0]),
                last_step=int(report.curve.step_N[-1]),
                body=pack_chunk(report.curve),
            )
        )
    for evaluation in report.evaluations:
        connection.execute(
            insert(evaluations).values(
                job_id=job_id,
                step=evaluation.step,
                val_loss=finite_or_none(evaluation.val_loss),
                val_metric=finite_or_none(evaluation.val_metric),
            )
        )
    for flow in report.flows:
        values = {"step": flow.step, "reach": list(flow.reach_L), "body": pack_flow(flow)}
        connection.execute(insert(flows).values(job_id=job_id, **values))
    if report.diagnosis:
        _upsert_diagnosis(connection, report.diagnosis)


def _upsert_diagnosis(connection: Connection, diagnosis: Diagnosis) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    insert_or_update = sqlite_insert if is_sqlite else postgresql_insert
    body = diagnosis.model_dump(mode="json")
    statement = insert_or_update(diagnoses).values(job_id=diagnosis.job_id, body=body)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["job_id"], set_={"body": body})
    )


def _drop_reports(connection: Connection, job_id: str) -> None:
    for table in (curve_chunks, evaluations, flows, diagnoses):
        connection.execute(delete(table).where(table.c.job_id == job_id))
