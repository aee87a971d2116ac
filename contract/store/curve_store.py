"""What training left behind, read back: curves, evaluations, flow, diagnosis."""

from sqlalchemy import Engine, select

from contract.curve import Curve, Evaluations, Steps, empty_curve, unpack_chunks
from contract.diagnosis import Diagnosis
from contract.flow import Flow, unpack_flow
from contract.store.engine import reading
from contract.tables import curve_chunks, diagnoses, evaluations, flows


class CurveStore:
    """Reads of a job's results; each method is one transaction. None writes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read_curve(self, job_id: str, first: int, last: int | None) -> Curve:
        """Steps `first`..`last` (None: to the end) at full resolution."""
        query = (
            select(curve_chunks.c.body)
            .where(curve_chunks.c.job_id == job_id, curve_chunks.c.last_step >= first)
            .order_by(curve_chunks.c.first_step)
        )
        if last is not None:
            query = query.where(curve_chunks.c.first_step <= last)
        with reading(self._engine) as connection:
            chunks = list(connection.execute(query).scalars())
        return _cut(unpack_chunks(chunks), first, last) if chunks else empty_curve()

    def read_evaluations(self, job_id: str, first: int, last: int | None) -> Evaluations:
        """Evaluations at steps `first`..`last`, ascending; a value that was not finite is None."""
        query = (
            select(evaluations)
            .where(evaluations.c.job_id == job_id, evaluations.c.step >= first)
            .order_by(evaluations.c.step)
        )
        if last is not None:
            query = query.where(evaluations.c.step <= last)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return Evaluations(
            step=[row.step for row in rows],
            val_loss=[row.val_loss for row in rows],
            val_metric=[row.val_metric for row in rows],
        )

    def read_flows(self, job_id: str, first: int, last: int | None, limit: int) -> list[Flow]:
        """At most `limit` flow records of steps `first`..`last`, evenly spread, both ends kept."""
        steps = select(flows.c.step).where(flows.c.job_id == job_id, flows.c.step >= first)
        if last is not None:
            steps = steps.where(flows.c.step <= last)
        with reading(self._engine) as connection:
            found = list(connection.execute(steps.order_by(flows.c.step)).scalars())
            wanted = [found[at] for at in spread(len(found), limit)]
            chosen = select(flows).where(flows.c.job_id == job_id, flows.c.step.in_(wanted))
            rows = connection.execute(chosen.order_by(flows.c.step)).all()
        return [unpack_flow(row.step, row.reach, row.body) for row in rows]

    def read_diagnosis(self, job_id: str) -> Diagnosis | None:
        """The latest diagnosis; None before the first."""
        query = select(diagnoses.c.body).where(diagnoses.c.job_id == job_id)
        with reading(self._engine) as connection:
            body = connection.execute(query).scalar_one_or_none()
        return None if body is None else Diagnosis.model_validate(body)


def spread(total: int, limit: int) -> list[int]:
    """At most `limit` of the positions 0..total-1, evenly spread, the first and the last kept."""
    if total <= limit:
        return list(range(total))
    if limit == 1:
        return [total - 1]
    return sorted({round(at * (total - 1) / (limit - 1)) for at in range(limit)})


def _cut(curve: Curve, first: int, last: int | None) -> Curve:
    wanted: slice = slice(
        _position(curve.step_N, first), None if last is None else _position(curve.step_N, last + 1)
    )
    return Curve(
        curve.step_N[wanted], {name: values[wanted] for name, values in curve.series.items()}
    )


def _position(step_N: Steps, step: int) -> int:
    return int(step_N.searchsorted(step))
