from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.service.gateway import JsonObject, app_of, problem


@pytest.fixture
def stored(client: TestClient, job_id: str, tmp_path: Path) -> JsonObject:
    """What the list says of a job's one file."""
    source = tmp_path / "weights"
    source.write_bytes(b"1234")
    app_of(client).state.artifacts.put(source, "jobs", job_id, "model.safetensors")
    (listed,) = client.get(f"/v1/jobs/{job_id}/artifacts").json()["data"]
    found: JsonObject = listed
    return found


def test_file_is_listed_and_sent(client: TestClient, stored: JsonObject) -> None:
    """A stored file is listed with its size, and sent as a file to save."""
    answer = client.get(stored["url"])

    assert (stored["name"], stored["bytes"]) == ("model.safetensors", 4)
    assert answer.content == b"1234"
    assert answer.headers["content-disposition"] == 'attachment; filename="model.safetensors"'


def test_job_without_files_has_an_empty_list(client: TestClient, job_id: str) -> None:
    """Before a job has succeeded it has no files; that is no error."""
    assert client.get(f"/v1/jobs/{job_id}/artifacts").json() == {"data": []}


@pytest.mark.parametrize("name", ["..%2F..%2Fetc", "..%5Cx", "%2Fetc%2Fpasswd", ".hidden", "other"])
def test_name_leads_nowhere_else(
    client: TestClient, job_id: str, stored: JsonObject, name: str
) -> None:
    """Only a listed name is opened; any other is a 404."""
    assert stored["name"] != name

    problem(client.get(f"/v1/jobs/{job_id}/artifacts/{name}"), 404)
