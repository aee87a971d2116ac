import json

import pytest
from fastapi.testclient import TestClient

from tests.service.gateway import SPEC, create, problem


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "*/*",
        "application/*",
        "text/html,application/xhtml+xml,*/*;q=0.8",
        "text/csv, Application/JSON; q=0.001",
        "*/*;q=0, application/json",
    ],
)
def test_client_that_takes_json_gets_curves(client: TestClient, accept: str) -> None:
    """JSON is sent wherever the header allows it, the closest range deciding."""
    path = f"/v1/jobs/{create(client)['id']}/curves"

    assert client.get(path, headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize(
    "accept",
    [
        "text/csv",
        "application/vnd.apache.parquet, text/*",
        "application/json;q=0",
        "application/json; q=0.000, */*",
        "application/*;q=0, */*",
    ],
)
def test_client_that_takes_no_json_is_told(client: TestClient, accept: str) -> None:
    """A client that wants curves in another form is a 406 that names the form there is."""
    path = f"/v1/jobs/{create(client)['id']}/curves"

    body = problem(client.get(path, headers={"Accept": accept}), 406)

    assert body["code"] == "not_acceptable"
    assert "application/json" in body["detail"]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/job_x/fork"])
@pytest.mark.parametrize(
    "sent", ["text/plain", "application/x-www-form-urlencoded", "multipart/json", ""]
)
def test_body_that_is_not_said_to_be_json_is_told(client: TestClient, path: str, sent: str) -> None:
    """JSON under another name is a 415 that says which name it needs; no job is made."""
    headers = {"Content-Type": sent} if sent else {}

    body = problem(client.post(path, content=json.dumps(SPEC), headers=headers), 415)

    assert body["code"] == "unsupported_media_type"
    assert (sent or "no Content-Type") in body["detail"]
    assert client.get("/v1/jobs").json()["data"] == []


@pytest.mark.parametrize(
    "sent", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
def test_every_name_of_json_is_taken(client: TestClient, sent: str) -> None:
    """Case, parameters and a prefix make no difference."""
    content = json.dumps(SPEC)

    answer = client.post("/v1/jobs", content=content, headers={"Content-Type": sent})

    assert answer.status_code == 201


def test_request_without_a_body_lacks_its_content(client: TestClient) -> None:
    """Where nothing was sent the content is missing, not its type."""
    assert problem(client.post("/v1/jobs"), 422)["code"] == "invalid"
