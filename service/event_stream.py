"""A job's events as server-sent events, from the store by a poll: no connection waits."""

import logging
import time
from collections.abc import AsyncIterator
from typing import Final

from fastapi.concurrency import run_in_threadpool
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from contract.errors import UnavailableError
from contract.event import Event
from contract.store import EventsRead, Store
from service.streams import Streams

log = logging.getLogger(__name__)

POLL_S: Final = 0.5
"""Seconds between two looks into the database for one stream."""
HEARTBEAT_S: Final = 15.0
"""Seconds of silence after which a comment is sent, so that no proxy takes the stream for dead."""
_PAGE: Final = 200
_NOTHING: Final = EventsRead([], is_final=False)


async def follow(
    store: Store, streams: Streams, job_id: str, after: int, heartbeat_s: float = HEARTBEAT_S
) -> AsyncIterator[bytes]:
    """Events after an id as they come, until the job is final or the gateway stops.

    A database that is out of reach for a while is waited for.
    """
    spoken = time.monotonic()
    while True:
        found = await run_in_threadpool(_read, store, job_id, after)
        for event in found.events:
            yield _formatted(event)
            after, spoken = event.id, time.monotonic()
        if len(found.events) == _PAGE:
            continue
        if found.is_final or not await streams.pause(POLL_S):
            return
        if time.monotonic() - spoken >= heartbeat_s:
            yield KEEPALIVE_COMMENT
            spoken = time.monotonic()


def _read(store: Store, job_id: str, after: int) -> EventsRead:
    try:
        return store.events.read(job_id, after, _PAGE)
    except UnavailableError:
        log.warning("the database is out of reach; the event stream waits")
        return _NOTHING


def _formatted(event: Event) -> bytes:
    return format_sse_event(data_str=event.model_dump_json(), event=event.kind, id=str(event.id))
