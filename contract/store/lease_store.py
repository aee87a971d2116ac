"""Jobs as workers see them: claim, keep, write, hand in; every write is fenced by the attempt."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, select
from sqlalchemy import update as sql_update

from contract.errors import LeaseLostError
from contract.job import JobError, JobStatus, Released
from contract.spec import JobSpec
from contract.store.engine import writing
from contract.store.event_log import append_status
from contract.store.job_loss import let_go
from contract.store.pack_choice import choose_pack
from contract.store.reports import Report, drop_reports, insert_report, progress_of
from contract.tables import jobs, now


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

    def claim(self, worker: str, device: str, lease_s: float, pack_limit: int) -> list[Claim]:
        """Take the queued job that comes first for this device, and others to train with it.

        What an earlier attempt has written is dropped in the same transaction, so that a curve
        never has a step twice.

        Args:
            worker: who takes them.
            device: what it has, "cpu" or "cuda".
            lease_s: seconds for which they are its own without renewal.
            pack_limit: most jobs to take, at least 1; if other workers are idle, too, only this
                worker's share of the jobs alike is taken.

        Returns:
            Jobs of one pack key, the first one first; none if nothing waits.
        """
        with writing(self._engine) as connection:
            job_ids = choose_pack(connection, worker, device, pack_limit)
            if not job_ids:
                return []
            change = (
                sql_update(jobs)
                .where(jobs.c.id.in_(job_ids))
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
            rows = {row.id: row for row in connection.execute(change)}
            drop_reports(connection, job_ids)
            for job_id in job_ids:
                append_status(connection, job_id, JobStatus.RUNNING, worker=worker)
        return [_claim_of(rows[job_id]) for job_id in job_ids]

    def renew_all(self, leases: Sequence[Lease], lease_s: float) -> dict[str, bool]:
        """Keep the leases that are still ours.

        Returns:
            By id, for each job that another attempt does not own and that is not final: whether a
            client asks for its end.
        """
        with writing(self._engine) as connection:
            kept = _kept(connection, leases)
            change = sql_update(jobs).where(jobs.c.id.in_([row.id for row in kept]))
            connection.execute(change.values(lease_until=now() + lease_s))
        return {row.id: row.cancel_requested for row in kept}

    def report_all(self, reports: Mapping[Lease, Report]) -> set[Lease]:
        """Add what was seen to the jobs' curves, evaluations, flow and diagnoses.

        Returns:
            The leases that still hold; of another attempt's or a final job nothing was written.
        """
        with writing(self._engine) as connection:
            kept = {Lease(row.id, row.attempt) for row in _kept(connection, reports)}
            for lease in kept:
                change = sql_update(jobs).where(jobs.c.id == lease.job_id)
                connection.execute(change.values(progress_of(reports[lease])))
                insert_report(connection, lease.job_id, reports[lease])
        return kept

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
            _fenced_update(connection, lease, values | (progress_of(report) if report else {}))
            if report:
                insert_report(connection, lease.job_id, report)
            append_status(connection, lease.job_id, ending.status, **_told(ending))

    def give_back(self, leases: Sequence[Lease], max_attempts: int) -> None:
        """Queue the jobs again, their training process having died; see `let_go`.

        Those that are no longer ours are left alone.
        """
        with writing(self._engine) as connection:
            for row in _kept(connection, leases):
                let_go(connection, row, max_attempts)

    def hand_back(self, leases: Iterable[Lease], *, alone: bool = False) -> None:
        """Queue the jobs again without counting the attempt as lost.

        Those that are no longer ours are left alone.

        Args:
            leases: of the jobs.
            alone: whether each is to be trained by itself from now on.
        """
        with writing(self._engine) as connection:
            for row in _kept(connection, leases):
                let_go(connection, row, max_attempts=None, alone=alone)


def _claim_of(row: Row[Any]) -> Claim:
    return Claim(Lease(row.id, row.attempt), JobSpec.model_validate(row.spec))


def _told(ending: Ending) -> dict[str, str]:
    """What the event of an ending says beside the status."""
    if ending.error:
        return {"code": ending.error.code, "message": ending.error.message}
    diagnosis = ending.last_report.diagnosis if ending.last_report else None
    return {"verdict": diagnosis.verdict} if diagnosis else {}


def _kept(connection: Connection, leases: Iterable[Lease]) -> list[Row[Any]]:
    """The rows of the jobs that are still ours, locked, in the order in which all lock them."""
    attempts = {lease.job_id: lease.attempt for lease in leases}
    ours = jobs.c.id.in_(attempts), jobs.c.status == JobStatus.RUNNING
    rows = connection.execute(select(jobs).where(*ours).order_by(jobs.c.id).with_for_update())
    return [row for row in rows if row.attempt == attempts[row.id]]


def _fenced_update(connection: Connection, lease: Lease, values: dict[str, object]) -> None:
    """Change the job only if this attempt still owns it; takes the row's lock first."""
    change = sql_update(jobs).where(
        jobs.c.id == lease.job_id,
        jobs.c.attempt == lease.attempt,
        jobs.c.status == JobStatus.RUNNING,
    )
    if connection.execute(change.values(values)).rowcount != 1:
        raise LeaseLostError
