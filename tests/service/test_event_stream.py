"""Streams of jobs that are not final yet, from a gateway in a process of its own."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import httpx
import pytest

from contract.spec import JobSpec
from contract.store import NewEvent, Store
from service.event_stream import follow
from service.streams import Streams
from tests.contract.test_store import make_report
from tests.e2e.stack import Stack, free_port, launch
from tests.service.gateway import StandInWorker
from tests.service.sse import Received, receive

STREAM = {"Accept": "text/event-stream"}
ROLLBACK = NewEvent("rollback", {"to_step": 0, "lr": 0.05, "count": 1}, step=1)
# A look into the database every half a second, and what a busy machine takes.
SOON_S = 5.0

StartGateway = Callable[..., "Gateway"]


@dataclass(frozen=True)
class Gateway:
    """A running gateway, and its database as a worker uses it."""

    stack: Stack
    store: Store

    @contextmanager
    def stream(self, job_id: str, **headers: str) -> Iterator[Iterator[Received]]:
        """An open stream of a job's events."""
        path = f"/v1/jobs/{job_id}/events"
        with self.stack.http.stream("GET", path, headers=STREAM | headers) as answer:
            assert answer.status_code == 200
            yield receive(answer.iter_lines())

    def answer_to_a_stream(self, job_id: str, **headers: str) -> httpx.Response:
        """The answer to a request for a stream, which is left at once."""
        path = f"/v1/jobs/{job_id}/events"
        with self.stack.http.stream("GET", path, headers=STREAM | headers) as answer:
            return answer


@pytest.fixture
def start_gateway(store: Store, database_url: str) -> Iterator[StartGateway]:
    """Starts a gateway on a fresh database of each kind, with some settings."""
    stacks: list[Stack] = []

    def start(**settings: str) -> Gateway:
        port = free_port()
        environment = {"UNROLL_DATABASE_URL": database_url, "UNROLL_PORT": str(port)} | {
            f"UNROLL_{name.upper()}": value for name, value in settings.items()
        }
        stack = Stack([launch(sys.executable, "-m", "service", **environment)], port)
        stacks.append(stack)
        stack.wait_until_ready()
        return Gateway(stack, store)

    yield start
    for stack in stacks:
        stack.http.close()
        stack.processes[0].terminate()
        stack.processes[0].wait(30)


@pytest.fixture
def job_id(store: Store, spec: JobSpec) -> str:
    """A job that waits."""
    return store.jobs.create(spec, max_queued=10).id


def test_events_come_as_they_happen(start_gateway: StartGateway, job_id: str) -> None:
    """A client that waits is sent each event soon after it was written, and the stream ends."""
    gateway = start_gateway()
    worker = StandInWorker(gateway.store)
    with gateway.stream(job_id) as events:
        assert next(events).event == "queued"
        lease = worker.claim()
        assert next(events).event == "running"
        gateway.store.leases.report_all({lease: replace(make_report(1, 1), events=(ROLLBACK,))})
        written = time.monotonic()
        assert next(events).data["detail"] == ROLLBACK.detail
        assert time.monotonic() - written < SOON_S
        worker.finish(lease)
        assert [one.event for one in events] == ["succeeded"]


def test_reader_that_comes_back_misses_nothing(start_gateway: StartGateway, job_id: str) -> None:
    """With the last id it saw a client goes on without a gap, over a second attempt, too."""
    gateway = start_gateway()
    worker = StandInWorker(gateway.store)
    first = worker.claim()
    with gateway.stream(job_id) as events:
        seen = [next(events), next(events)]
    gateway.store.leases.report_all({first: replace(make_report(1, 1), events=(ROLLBACK,))})
    gateway.store.leases.give_back([first], max_attempts=5)
    second = worker.claim()
    with gateway.stream(job_id, **{"Last-Event-ID": seen[-1].id}) as events:
        seen += [next(events) for _ in range(3)]
        worker.finish(second)
        seen += list(events)

    assert [one.id for one in seen] == ["1", "2", "3", "4", "5", "6"]
    assert [one.data["attempt"] for one in seen] == [0, 1, 1, 1, 2, 2]


def test_stream_ends_well_when_the_gateway_stops(start_gateway: StartGateway, job_id: str) -> None:
    """On SIGTERM the stream is ended as any answer is, and the gateway is gone soon after."""
    gateway = start_gateway()
    (process,) = gateway.stack.processes
    with gateway.stream(job_id) as events:
        next(events)
        process.terminate()
        assert list(events) == []
    process.wait(SOON_S)


def test_more_streams_than_threads_keep_nobody_waiting(
    start_gateway: StartGateway, job_id: str
) -> None:
    """With more streams open than the gateway has threads others are answered as ever."""
    gateway = start_gateway()
    request = (
        f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
    )
    address = ("127.0.0.1", gateway.stack.http.base_url.port)
    waiting = [socket.create_connection(address) for _ in range(60)]
    for one in waiting:
        one.sendall(request.encode())
        assert one.recv(15).startswith(b"HTTP/1.1 200")

    started = time.monotonic()
    for _ in range(10):
        assert gateway.stack.job(job_id)["status"] == "queued"

    assert time.monotonic() - started < SOON_S
    for one in waiting:
        one.close()


def test_streams_beyond_the_limit_are_refused(start_gateway: StartGateway, job_id: str) -> None:
    """One stream more than allowed is a 429 with a time to wait; a list is none."""
    gateway = start_gateway(max_event_streams="1")
    with gateway.stream(job_id) as events:
        next(events)
        refused = gateway.answer_to_a_stream(job_id)

        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "10"
        assert refused.headers["content-type"] == "application/problem+json"
        assert gateway.stack.get(job_id, "events")["data"]


def test_stream_that_was_left_makes_room(start_gateway: StartGateway, job_id: str) -> None:
    """A client that goes away gives its place to the next."""
    gateway = start_gateway(max_event_streams="1")
    with gateway.stream(job_id) as events:
        next(events)

    gateway.stack.wait_until(
        lambda: gateway.answer_to_a_stream(job_id).status_code == 200, seconds=SOON_S
    )


def test_stream_of_no_job_takes_no_room(start_gateway: StartGateway, job_id: str) -> None:
    """A stream that is refused leaves its place free."""
    gateway = start_gateway(max_event_streams="1")
    assert gateway.answer_to_a_stream("job_none").status_code == 404

    gateway.stack.wait_until(
        lambda: gateway.answer_to_a_stream(job_id).status_code == 200, seconds=SOON_S
    )


def test_each_key_has_its_own_streams(start_gateway: StartGateway, job_id: str) -> None:
    """A client that has opened all it may keeps no other from opening one."""
    gateway = start_gateway(max_event_streams="1", api_keys="first,second")
    first, second = ({"Authorization": f"Bearer {key}"} for key in ("first", "second"))
    with gateway.stream(job_id, **first) as events:
        next(events)

        assert gateway.answer_to_a_stream(job_id, **first).status_code == 429
        assert gateway.answer_to_a_stream(job_id, **second).status_code == 200


async def collect(chunks: AsyncIterator[bytes], count: int) -> list[bytes]:
    """The first chunks of a stream."""
    return [await anext(chunks) for _ in range(count)]


def test_silent_stream_shows_that_it_lives(store: Store, job_id: str) -> None:
    """Where nothing happens a comment is sent every so often."""

    async def run() -> list[bytes]:
        return await collect(follow(store, Streams(1), job_id, 1, heartbeat_s=0.1), 2)

    assert asyncio.run(run()) == [b": ping\n\n", b": ping\n\n"]


def test_stream_outlives_a_database_that_is_away(job_id: str) -> None:
    """A stream waits for a database that is out of reach, and still ends with the gateway."""
    away = Store("postgresql+psycopg://nobody@127.0.0.1:1/none")

    async def run() -> list[bytes]:
        streams = Streams(1)
        chunks = follow(away, streams, job_id, 0, heartbeat_s=0)
        heard = await collect(chunks, 1)
        streams.close()
        return heard + [chunk async for chunk in chunks]

    assert asyncio.run(run()) == [b": ping\n\n"]
    away.close()
