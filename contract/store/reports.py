"""What a worker saw of a job, written into the tables that clients read."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from contract.curve import Curve, pack_chunk
from contract.diagnosis import Diagnosis
from contract.flow import Flow, pack_flow
from contract.job import Latest
from contract.store.event_log import NewEvent, append_events
from contract.store.rows import finite_or_none
from contract.tables import curve_chunks, diagnoses, evaluations, flows


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
    events: tuple[NewEvent, ...] = ()
    diagnosis: Diagnosis | None = None


def progress_of(report: Report) -> dict[str, object]:
    """The columns of the job's row that a report moves."""
    values: dict[str, object] = {
        "latest": report.latest.model_dump(),
        "steps_per_s": report.steps_per_s,
    }
    if len(report.curve):
        values["step"] = int(report.curve.step_N[-1])
    if report.diagnosis:
        values["verdict"] = report.diagnosis.verdict
    return values


def insert_report(connection: Connection, job_id: str, report: Report) -> None:
    """Add a report to the job's curves, evaluations, flow and events; replace its diagnosis."""
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
    append_events(connection, job_id, report.events)
    if report.diagnosis:
        _upsert_diagnosis(connection, report.diagnosis)


def drop_reports(connection: Connection, job_ids: list[str]) -> None:
    """Forget all that was ever reported of these jobs, but for their events."""
    for table in (curve_chunks, evaluations, flows, diagnoses):
        connection.execute(delete(table).where(table.c.job_id.in_(job_ids)))


def _upsert_diagnosis(connection: Connection, diagnosis: Diagnosis) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    insert_or_update = sqlite_insert if is_sqlite else postgresql_insert
    body = diagnosis.model_dump(mode="json")
    statement = insert_or_update(diagnoses).values(job_id=diagnosis.job_id, body=body)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["job_id"], set_={"body": body})
    )
