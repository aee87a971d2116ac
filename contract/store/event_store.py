"""A job's log of events, read."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, select

from contract.errors import NotFoundError
from contract.event import Event
from contract.job import JobStatus
from contract.store.engine import reading
from contract.store.rows import moment
from contract.tables import events, jobs


@dataclass(frozen=True)
class EventsRead:
    """A part of a job's log."""

    events: list[Event]
    """Ascending by id."""
    is_final: bool
    """Whether the job is final, so that nothing comes after the log's end."""


class EventStore:
    """Events; each method is one transaction. None writes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self, job_id: str, after: int, limit: int) -> EventsRead:
        """At most `limit` events of a job with ids above `after`; NotFoundError if it is not there.

        The status is read first: if it is final, its event is seen by the second query.
        """
        status_of = select(jobs.c.status).where(jobs.c.id == job_id)
        later = select(events).where(events.c.job_id == job_id, events.c.seq > after)
        with reading(self._engine) as connection:
            status = connection.execute(status_of).scalar_one_or_none()
            if status is None:
                raise NotFoundError("there is no such job")
            rows = connection.execute(later.order_by(events.c.seq).limit(limit)).all()
        return EventsRead([_event(row) for row in rows], JobStatus(status).is_final)


def _event(row: Row[Any]) -> Event:
    return Event(
        id=row.seq,
        attempt=row.attempt,
        step=row.step,
        kind=row.kind,
        detail=row.detail,
        created_at=moment(row.created_at),
    )
