"""Events: what happened to a job and was decided in its training, as a list or as a stream."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse
from pydantic import BaseModel, ConfigDict

from contract.event import Event
from service.auth import caller_of
from service.deps import StoreDep
from service.event_stream import follow
from service.negotiation import accepts_event_stream, require_json_accepted
from service.openapi import problem_responses
from service.streams import Streams

router = APIRouter(prefix="/v1/jobs", tags=["results"])

_STREAM_HEADERS: Final = {"X-Accel-Buffering": "no"}
_EXAMPLE: Final = (
    "event: rollback\n"
    'data: {"id":3,"attempt":1,"step":41,"kind":"rollback","detail":{"to_step":0,"lr":0.05,'
    '"count":1,"loss":9.1,"reference":0.4},"created_at":"2026-01-01T00:00:00Z"}\n'
    "id: 3\n\n"
)
_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}}},
    204: {"description": "A stream was asked for, but the job is final and all was sent"},
}


class EventPage(BaseModel):
    """Some events of a job, in the order in which they happened."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    data: list[Event]
    next_cursor: str | None
    """Send it as `after` for the next page; null at the end, which grows until the job is final."""


async def _stream_slot(request: Request) -> AsyncIterator[Streams | None]:
    """The gateway's streams if one is asked for, counted as open until it has ended."""
    if accepts_event_stream(request):
        streams: Streams = request.app.state.streams
        with streams.slot(caller_of(request)):
            yield streams
    else:
        require_json_accepted(request)
        yield None


@router.get(
    "/{job_id}/events",
    response_model=EventPage,
    responses=_ANSWERS | problem_responses(406, 429),
)
def list_job_events(  # noqa: PLR0913, PLR0917 - one argument a parameter of the request
    job_id: str,
    store: StoreDep,
    streams: Annotated[Streams | None, Depends(_stream_slot)],
    after: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    last_event_id: Annotated[str, Header(pattern=r"^[0-9]{0,15}$")] = "",
) -> EventPage | Response:
    """Read what happened to a job, also while it runs.

    Each change of its status is an event, and each decision of its training: a rollback, a cut of
    lr, a suggested lr. Ids count from 1 without gaps and go on when a job is trained anew after a
    lost worker; `attempt` says which events belong together. Send the last id you have as `after`.

    With `Accept: text/event-stream` the events come as they happen, each with its id and its kind
    as `event`, and the stream ends after the event of a final status. If it ends before, send the
    last id as `Last-Event-ID` (browsers do) to go on without a gap; where there is nothing left to
    come the answer is 204, on which browsers stop. Lines that begin with a colon only show that the
    stream lives.
    """
    if streams is not None:
        return _stream(store, streams, job_id, int(last_event_id or after))
    found = store.events.read(job_id, after, limit + 1).events
    page = found[:limit]
    return EventPage(data=page, next_cursor=str(page[-1].id) if len(found) > limit else None)


def _stream(store: StoreDep, streams: Streams, job_id: str, after: int) -> Response:
    next_one = store.events.read(job_id, after, 1)
    if next_one.is_final and not next_one.events:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return EventSourceResponse(follow(store, streams, job_id, after), headers=_STREAM_HEADERS)
