"""A job's events as a list, and the stream of a job that is final already."""

from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete

from contract.store import NewEvent
from contract.tables import events
from tests.contract.test_store import make_report
from tests.service.gateway import StandInWorker, create, pointers, problem
from tests.service.sse import Received, parse

STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
def final_job(client: TestClient, worker: StandInWorker) -> str:
    """A job that succeeded, with a rollback at step 1: four events."""
    job_id: str = create(client)["id"]
    lease = worker.claim()
    rollback = NewEvent("rollback", {"to_step": 0, "lr": 0.05, "count": 1}, step=1)
    worker.store.leases.report_all({lease: replace(make_report(1, 2), events=(rollback,))})
    worker.finish(lease)
    return job_id


def read(client: TestClient, job_id: str, **query: Any) -> dict[str, Any]:  # noqa: ANN401 - any value
    """A page of a job's events."""
    answer = client.get(f"/v1/jobs/{job_id}/events", params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def stream(client: TestClient, job_id: str, query: str = "", **headers: str) -> list[Received]:
    """All that the stream of a final job sends."""
    answer = client.get(f"/v1/jobs/{job_id}/events{query}", headers=STREAM | headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].split(";")[0] == "text/event-stream"
    return parse(answer.text.splitlines())


def test_events_are_listed_in_their_order(client: TestClient, final_job: str) -> None:
    """Each event has its id, attempt, step, kind, detail and time."""
    page = read(client, final_job)

    assert [(e["id"], e["attempt"], e["step"], e["kind"]) for e in page["data"]] == [
        (1, 0, 0, "queued"),
        (2, 1, 0, "running"),
        (3, 1, 1, "rollback"),
        (4, 1, 2, "succeeded"),
    ]
    assert page["data"][2]["detail"] == {"to_step": 0, "lr": 0.05, "count": 1}
    assert page["data"][2]["created_at"].endswith("Z")
    assert page["next_cursor"] is None


def test_pages_go_on_after_an_id(client: TestClient, final_job: str) -> None:
    """`next_cursor` is what to send as `after`; the last page has none."""
    first = read(client, final_job, limit=3)
    second = read(client, final_job, limit=3, after=first["next_cursor"])

    assert [event["id"] for event in first["data"] + second["data"]] == [1, 2, 3, 4]
    assert second["next_cursor"] is None


def test_a_page_that_is_just_full_is_the_last(client: TestClient, final_job: str) -> None:
    """Where nothing comes after a full page, there is no next one."""
    assert read(client, final_job, limit=4)["next_cursor"] is None


@pytest.mark.parametrize("headers", [{}, STREAM])
def test_unknown_job_is_not_found(client: TestClient, headers: dict[str, str]) -> None:
    """A list and a stream of a job that is not there are a 404."""
    problem(client.get("/v1/jobs/job_none/events", headers=headers), 404)


@pytest.mark.parametrize(
    ("query", "headers", "place"),
    [
        ("?after=-1", {}, "after"),
        ("?after=x", STREAM, "after"),
        ("?limit=1001", {}, "limit"),
        ("", STREAM | {"Last-Event-ID": "latest"}, "last-event-id"),
    ],
)
def test_wrong_place_in_the_log_is_named(
    client: TestClient, final_job: str, query: str, headers: dict[str, str], place: str
) -> None:
    """What is no event id, or no size of a page, is a 422 that names the parameter."""
    answer = client.get(f"/v1/jobs/{final_job}/events{query}", headers=headers)

    assert pointers(problem(answer, 422)) == [place]


def test_client_that_takes_neither_form_is_told(client: TestClient, final_job: str) -> None:
    """Neither JSON nor a stream is a 406."""
    answer = client.get(f"/v1/jobs/{final_job}/events", headers={"Accept": "text/csv"})

    problem(answer, 406)


@pytest.mark.parametrize("accept", ["*/*", "text/*", "text/event-stream;q=0, */*"])
def test_stream_has_to_be_asked_for_by_name(
    client: TestClient, final_job: str, accept: str
) -> None:
    """A client that takes anything is never kept waiting by a stream."""
    answer = client.get(f"/v1/jobs/{final_job}/events", headers={"Accept": accept})

    assert answer.headers["content-type"] != "text/event-stream"


def test_stream_of_a_final_job_sends_its_log_and_ends(client: TestClient, final_job: str) -> None:
    """Each event has its id, its kind as the event's name, and as data what the list has."""
    received = stream(client, final_job)

    assert [(one.id, one.event) for one in received] == [
        ("1", "queued"),
        ("2", "running"),
        ("3", "rollback"),
        ("4", "succeeded"),
    ]
    assert [one.data for one in received] == read(client, final_job)["data"]


def test_no_proxy_holds_a_stream_back(client: TestClient, final_job: str) -> None:
    """The answer asks that it be neither buffered nor kept."""
    headers = client.get(f"/v1/jobs/{final_job}/events", headers=STREAM).headers

    assert headers["x-accel-buffering"] == "no"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("query", "last_event_id", "ids"),
    [
        ("", "2", ["3", "4"]),
        ("?after=3", "", ["4"]),
        ("?after=1", "3", ["4"]),
        ("?after=3", "0", ["1", "2", "3", "4"]),
    ],
)
def test_stream_goes_on_where_it_was_left(
    client: TestClient, final_job: str, query: str, last_event_id: str, ids: list[str]
) -> None:
    """It begins after `Last-Event-ID`, or without one after `after`."""
    received = stream(client, final_job, query, **{"Last-Event-ID": last_event_id})

    assert [one.id for one in received] == ids


def test_browser_is_told_to_stop_at_the_end(client: TestClient, final_job: str) -> None:
    """Where all was sent and nothing will come, 204 ends an EventSource for good."""
    answer = client.get(f"/v1/jobs/{final_job}/events", headers=STREAM | {"Last-Event-ID": "4"})

    assert (answer.status_code, answer.content) == (204, b"")


def test_final_job_without_a_log_keeps_nobody_waiting(
    client: TestClient, worker: StandInWorker, final_job: str
) -> None:
    """A job that ended before there were logs has an empty list, and its stream is over."""
    with worker.store.engine.begin() as connection:
        connection.execute(delete(events))

    assert read(client, final_job) == {"data": [], "next_cursor": None}
    assert client.get(f"/v1/jobs/{final_job}/events", headers=STREAM).status_code == 204


def test_long_log_is_streamed_whole(client: TestClient, worker: StandInWorker) -> None:
    """More events than are read at once come without a gap."""
    job_id = create(client)["id"]
    lease = worker.claim()
    cut = NewEvent("lr_cut", {"lr_before": 0.2, "lr": 0.1}, step=1)
    worker.store.leases.report_all({lease: replace(make_report(1, 1), events=(cut,) * 450)})
    worker.finish(lease)

    assert [one.id for one in stream(client, job_id)] == [str(at) for at in range(1, 454)]
