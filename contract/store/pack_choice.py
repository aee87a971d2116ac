"""Which queued jobs a worker takes: the one that comes first, and what can be trained with it."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, select

from contract.job import JobStatus
from contract.tables import jobs, now, workers

# A worker that has not been seen for this long counts as gone.
_WORKER_SEEN_S = 15.0


def choose_pack(connection: Connection, worker: str, device: str, pack_limit: int) -> list[str]:
    """Ids of the jobs to take, locked; none if nothing waits for this device.

    The first is the one with the highest priority, among equals the oldest; the others have its
    pack key and follow by age. Jobs that another transaction is just taking are passed over.
    """
    waiting = and_(jobs.c.status == JobStatus.QUEUED, jobs.c.device.in_(["auto", device]))
    order = (jobs.c.priority.desc(), jobs.c.created_at, jobs.c.id)
    first = connection.execute(_locked(waiting).order_by(*order).limit(1)).first()
    if first is None:
        return []
    if first.pack_key is None:
        return [first.id]
    alike = and_(waiting, jobs.c.pack_key == first.pack_key)
    limit = min(pack_limit, _share(connection, alike, worker, device))
    others = _locked(alike, jobs.c.id != first.id).order_by(jobs.c.created_at, jobs.c.id)
    rows = connection.execute(others.limit(limit - 1)).all()
    return [first.id, *(row.id for row in rows)]


def live_devices(connection: Connection) -> set[str]:
    """Devices of the workers that were seen lately."""
    seen = select(workers.c.device).where(_seen_lately()).distinct()
    return set(connection.execute(seen).scalars())


def _locked(*conditions: ColumnElement[bool]) -> Select[tuple[Any, ...]]:
    chosen = select(jobs.c.id, jobs.c.pack_key).where(*conditions)
    return chosen.with_for_update(skip_locked=True)


def _share(connection: Connection, alike: ColumnElement[bool], worker: str, device: str) -> int:
    """How many of the jobs alike are this worker's, the idle ones sharing them evenly."""
    is_training = exists().where(
        jobs.c.status == JobStatus.RUNNING, jobs.c.worker == workers.c.name
    )
    idle = and_(workers.c.device == device, workers.c.name != worker, _seen_lately(), ~is_training)
    count = func.count()
    waiting = connection.execute(select(count).select_from(jobs).where(alike)).scalar_one()
    others = connection.execute(select(count).select_from(workers).where(idle)).scalar_one()
    return int(-(-waiting // (others + 1)))


def _seen_lately() -> ColumnElement[bool]:
    return workers.c.seen_at > now() - _WORKER_SEEN_S
