import pytest
from fastapi.testclient import TestClient

from tests.service.gateway import SPEC, StandInWorker, create, pointers, problem


def test_job_is_created_and_can_be_found(client: TestClient) -> None:
    """A POST answers 201 with the job, its address and its ETag."""
    answer = client.post("/v1/jobs", json=SPEC | {"name": "first", "tags": ["demo"]})

    job = answer.json()
    assert answer.status_code == 201
    assert job["status"] == "queued"
    assert job["spec"]["training"]["optimizer"]["kind"] == "adam"
    found = client.get(answer.headers["location"])
    assert found.json()["id"] == job["id"]


def test_unchanged_job_is_answered_304(client: TestClient) -> None:
    """With the ETag of an earlier answer an unchanged job is not sent again."""
    address = f"/v1/jobs/{create(client)['id']}"
    first = client.get(address)

    again = client.get(address, headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["retry-after"] == "1"
    assert (again.status_code, again.content) == (304, b"")


def test_changed_job_is_sent_anew(client: TestClient) -> None:
    """A job that has moved has another ETag."""
    job_id = create(client)["id"]
    before = client.get(f"/v1/jobs/{job_id}").headers["etag"]
    client.post(f"/v1/jobs/{job_id}/cancel")

    after = client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": before})

    assert after.status_code == 200
    assert after.headers["etag"] != before
    assert "retry-after" not in after.headers


@pytest.mark.parametrize("path", ["", "/curves", "/gradient-flow", "/diagnosis", "/artifacts"])
def test_unknown_job_is_a_404(client: TestClient, path: str) -> None:
    """Every part of a job that is not there is a 404."""
    assert problem(client.get(f"/v1/jobs/job_none{path}"), 404)["code"] == "not_found"


def test_pages_stay_where_they_are_while_jobs_come_in(client: TestClient) -> None:
    """The next page goes on where the last one ended, whatever was added since."""
    ids = [create(client)["id"] for _ in range(3)]
    first = client.get("/v1/jobs?limit=2").json()
    create(client)

    second = client.get("/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [job["id"] for job in first["data"] + second["data"]] == ids[::-1]
    assert second["next_cursor"] is None


def test_list_is_filtered(client: TestClient, worker: StandInWorker) -> None:
    """Jobs are found by status, tag, cell, dataset and verdict."""
    tagged = create(client, tags=["demo"])["id"]
    lstm = create(client, cell={"kind": "lstm"}, dataset={"kind": "delayed_recall"})["id"]
    worker.report(worker.claim(), [1.0])

    for query, expected in (
        ("tag=demo", [tagged]),
        ("cell=lstm", [lstm]),
        ("dataset=delayed_recall", [lstm]),
        ("status=running", [tagged]),
        ("verdict=healthy", [tagged]),
        ("sweep_id=none", []),
    ):
        found = client.get(f"/v1/jobs?{query}").json()["data"]
        assert [job["id"] for job in found] == expected


@pytest.mark.parametrize("cursor", ["x", "!!", "W10", "é", "eyJ9"])
def test_broken_cursor_is_named(client: TestClient, cursor: str) -> None:
    """A cursor that is not ours is a 422 at `cursor`."""
    answer = client.get("/v1/jobs", params={"cursor": cursor})

    assert pointers(problem(answer, 422)) == ["cursor"]


def test_cursor_of_another_list_is_refused(client: TestClient) -> None:
    """A cursor belongs to the filters it was made with."""
    create(client), create(client)
    cursor = client.get("/v1/jobs?limit=1").json()["next_cursor"]

    answer = client.get("/v1/jobs", params={"cursor": cursor, "tag": "demo"})

    assert pointers(problem(answer, 422)) == ["cursor"]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "status=done"])
def test_bad_parameter_is_named(client: TestClient, query: str) -> None:
    """A parameter out of range or of the wrong kind is a 422 at its name."""
    answer = client.get(f"/v1/jobs?{query}")

    assert pointers(problem(answer, 422)) == [query.split("=", maxsplit=1)[0]]


def test_waiting_job_is_cancelled_at_once(client: TestClient) -> None:
    """Cancelling a queued job answers 200 with the cancelled job."""
    answer = client.post(f"/v1/jobs/{create(client)['id']}/cancel")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")


def test_running_job_is_let_go_later(client: TestClient, worker: StandInWorker) -> None:
    """Cancelling a running job answers 202: its worker has yet to let go."""
    job_id = create(client)["id"]
    worker.claim()

    answer = client.post(f"/v1/jobs/{job_id}/cancel")

    assert (answer.status_code, answer.json()["status"]) == (202, "running")


def test_final_job_cannot_be_cancelled(client: TestClient, worker: StandInWorker) -> None:
    """Cancelling a final job is a 409 that names its status."""
    job_id = create(client)["id"]
    worker.finish(worker.claim())

    body = problem(client.post(f"/v1/jobs/{job_id}/cancel"), 409)

    assert "succeeded" in body["detail"]


def test_repeated_request_is_answered_as_the_first_was(client: TestClient) -> None:
    """With one Idempotency-Key the same body is one job, and the answer says it is a replay."""
    answers = [
        client.post("/v1/jobs", json=SPEC, headers={"Idempotency-Key": key})
        for key in ("abc", "abc", '"abc"')
    ]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert len({answer.text for answer in answers}) == 1
    assert "idempotency-replayed" not in answers[0].headers
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert len(client.get("/v1/jobs").json()["data"]) == 1


def test_key_of_another_request_is_refused(client: TestClient) -> None:
    """One Idempotency-Key with two bodies is a 422 at the header."""
    headers = {"Idempotency-Key": "abc"}
    client.post("/v1/jobs", json=SPEC, headers=headers)

    answer = client.post("/v1/jobs", json=SPEC | {"name": "other"}, headers=headers)

    assert pointers(problem(answer, 422)) == ["Idempotency-Key"]
