import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from contract.settings import Settings
from contract.store import JobFilter
from service.app import create_app
from service.pagination import make_cursor
from tests.service.gateway import SPEC, JsonObject, create, pointers, problem


@pytest.fixture
def client(database_url: str, tmp_path: Path) -> Iterator[TestClient]:
    """A gateway on each kind of database, for they differ in the text they take."""
    settings = Settings(database_url=database_url, artifacts_url=str(tmp_path / "artifacts"))
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/jobs/%00"),
        ("GET", "/v1/jobs/%00/curves"),
        ("POST", "/v1/jobs/a%00/cancel"),
        ("GET", "/v1/datasets/%00"),
        ("DELETE", "/v1/datasets/%00"),
    ],
)
def test_nothing_is_called_nul(client: TestClient, method: str, path: str) -> None:
    """An id with a NUL character is a 404 on every database."""
    problem(client.request(method, path), 404)


@pytest.mark.parametrize("name", ["tag", "cell", "dataset", "sweep_id"])
def test_filter_with_a_nul_is_named(client: TestClient, name: str) -> None:
    """A filter with a NUL character is a 422 at its name on every database."""
    assert pointers(problem(client.get(f"/v1/jobs?{name}=%00"), 422)) == [name]


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"name": "a\0b"}, "/name"),
        ({"tags": ["a", "\0"]}, "/tags/1"),
        ({"name": "\ud800"}, "/name"),
    ],
)
def test_text_no_database_stores_is_named(
    client: TestClient, patch: JsonObject, pointer: str
) -> None:
    """A NUL or half a character in a spec is a 422 at its place, sent or patched in."""
    job_id = create(client)["id"]
    headers = {"content-type": "application/json"}

    for path, body in (
        ("/v1/jobs", SPEC | patch),
        (f"/v1/jobs/{job_id}/fork", {"patch": patch}),
    ):
        # Written here, for the client itself writes no half characters.
        answer = client.post(path, content=json.dumps(body), headers=headers)
        assert pointers(problem(answer, 422)) == [pointer]


@pytest.mark.parametrize("last_id", ["\0", "\ud800", "", "job_x' OR '1'='1", 7])
def test_forged_cursor_is_refused(client: TestClient, last_id: str) -> None:
    """A cursor with the right mark but no id in it is a 422 at `cursor`."""
    cursor = make_cursor(last_id, JobFilter())

    answer = client.get("/v1/jobs", params={"cursor": cursor})

    assert pointers(problem(answer, 422)) == ["cursor"]


@pytest.mark.parametrize("name", ["'; DROP TABLE jobs; --", "<script>", "日本語 🧠", "a\nb"])
def test_any_other_name_comes_back_as_it_was(client: TestClient, name: str) -> None:
    """A name is text and nothing else: it is stored and answered unchanged."""
    job_id = create(client, name=name, tags=[name])["id"]

    (found,) = client.get("/v1/jobs", params={"tag": name}).json()["data"]

    assert (found["id"], found["name"], found["tags"]) == (job_id, name, [name])
