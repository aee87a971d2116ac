import errno
import hashlib
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from contract.artifacts import Artifacts
from tests.service.gateway import (
    SPEC,
    JsonObject,
    MakeClient,
    StandInWorker,
    app_of,
    create,
    pointers,
    problem,
)

SUNSPOTS = Path(__file__).parents[2] / "examples" / "sunspots.csv"
TABLE = b"day,value,word,holes\n" + b"".join(b"%d,%d.5,a,1\n" % (at, at) for at in range(50))
HOLED = TABLE + b"50,50.5,a,\n"


def upload(client: TestClient, content: bytes, filename: str = "t.csv", name: str = "") -> Any:  # noqa: ANN401 - a response
    """Upload a file."""
    files = {"file": (filename, content)}
    return client.post("/v1/datasets", files=files, data={"name": name})


def forecast(dataset_id: str, **task: Any) -> JsonObject:  # noqa: ANN401 - any JSON
    """A spec that forecasts a column of a dataset."""
    task = {"kind": "forecast", "target": "value", "inputs": ["value"], "seq_len": 5} | task
    return SPEC | {"dataset": {"kind": "upload", "dataset_id": dataset_id, "task": task}}


def test_upload_is_described(client: TestClient) -> None:
    """An upload answers with its hash, rows, typed columns and a preview."""
    content = SUNSPOTS.read_bytes()

    answer = upload(client, content, "sunspots.csv", "yearly sunspots")

    record = answer.json()
    assert answer.status_code == 201
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert (record["rows"], record["bytes"], record["name"]) == (
        309,
        len(content),
        "yearly sunspots",
    )
    assert [(column["name"], column["type"]) for column in record["columns"]] == [
        ("year", "integer"),
        ("sunspots", "number"),
    ]
    assert record["preview"]["rows"][0] == [1700, 5.0]
    assert client.get(answer.headers["location"]).json() == record


def test_datasets_are_listed_in_pages(client: TestClient) -> None:
    """Datasets are listed newest first, page by page."""
    ids = [upload(client, TABLE).json()["id"] for _ in range(3)]
    first = client.get("/v1/datasets?limit=2").json()
    second = client.get("/v1/datasets", params={"cursor": first["next_cursor"]}).json()

    assert [record["id"] for record in first["data"] + second["data"]] == ids[::-1]


def test_deleted_dataset_is_gone_with_its_file(client: TestClient) -> None:
    """After a delete neither the dataset nor its file is there."""
    dataset_id = upload(client, TABLE).json()["id"]

    assert client.delete(f"/v1/datasets/{dataset_id}").status_code == 204

    problem(client.get(f"/v1/datasets/{dataset_id}"), 404)
    problem(client.delete(f"/v1/datasets/{dataset_id}"), 404)
    assert app_of(client).state.artifacts.sizes("datasets", dataset_id) == {}


def test_dataset_in_use_is_kept(client: TestClient, worker: StandInWorker) -> None:
    """A dataset is kept as long as an unfinished job trains on it."""
    dataset_id = upload(client, TABLE).json()["id"]
    assert client.post("/v1/jobs", json=forecast(dataset_id)).status_code == 201

    problem(client.delete(f"/v1/datasets/{dataset_id}"), 409)

    worker.finish(worker.claim())
    assert client.delete(f"/v1/datasets/{dataset_id}").status_code == 204


def test_upload_beyond_the_limit_is_a_413(make_client: MakeClient) -> None:
    """A file larger than allowed is refused, and nothing of it is kept."""
    client = make_client(max_upload_bytes=100)

    assert "max_upload_bytes" in problem(upload(client, TABLE), 413)["detail"]
    assert client.get("/v1/datasets").json()["data"] == []


class FullArtifacts(Artifacts):
    """A store of files whose disk is full."""

    def put(self, source: Path, *name: str) -> None:
        """Fail as a full disk does."""
        raise OSError(errno.ENOSPC, "No space left on device", f"{source} {name}")


def test_upload_onto_a_full_disk_is_a_507(client: TestClient, tmp_path: Path) -> None:
    """Without room for the file the client is told, and no dataset is kept."""
    app_of(client).state.artifacts = FullArtifacts(str(tmp_path))

    body = problem(upload(client, TABLE), 507)

    assert body["code"] == "storage_full"
    assert "/" not in body["detail"]
    assert client.get("/v1/datasets").json()["data"] == []


def test_cursor_of_jobs_is_none_of_datasets(client: TestClient) -> None:
    """A cursor belongs to the list it was made by."""
    create(client), create(client)
    cursor = client.get("/v1/jobs?limit=1").json()["next_cursor"]

    answer = client.get("/v1/datasets", params={"cursor": cursor})

    assert pointers(problem(answer, 422)) == ["cursor"]


def test_every_misfit_of_a_forecast_is_named_at_once(client: TestClient) -> None:
    """A task with several faults is answered with all of their places."""
    dataset_id = upload(client, HOLED).json()["id"]
    task = {"target": "word", "inputs": ["none", "holes"], "seq_len": 60}

    body = problem(client.post("/v1/jobs", json=forecast(dataset_id, **task)), 422)

    assert pointers(body) == [
        "/dataset/task/target",
        "/dataset/task/inputs/0",
        "/dataset/task/inputs/1",
        "/dataset/task/seq_len",
    ]
    assert client.get("/v1/jobs").json()["data"] == []


def test_shortest_dataset_that_fits_is_taken(client: TestClient) -> None:
    """Rows for a window in each split are enough, one row less is not: the worker's own rule."""
    dataset_id = upload(client, TABLE).json()["id"]

    fits, misses = (
        client.post("/v1/jobs", json=forecast(dataset_id, seq_len=length)) for length in (34, 35)
    )

    assert fits.status_code == 201
    assert pointers(problem(misses, 422)) == ["/dataset/task/seq_len"]


def test_body_far_beyond_the_limit_is_cut_off(make_client: MakeClient) -> None:
    """A body larger than file and frame may be is refused before it is read to its end."""
    client = make_client(max_upload_bytes=100)

    problem(upload(client, b"x" * 200_000), 413)


@pytest.mark.parametrize(
    ("setting", "content"), [("max_rows", TABLE), ("max_columns", b"a,b,c\n1,2,3\n")]
)
def test_table_beyond_a_limit_names_it(
    make_client: MakeClient, setting: str, content: bytes
) -> None:
    """Too many rows or columns are a 422 that names the limit."""
    client = make_client(**{setting: 2})

    assert setting in problem(upload(client, content), 422)["detail"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n",
        b"a,b\n1,2\n1,2,3\n",
        b"a,a\n1,2\n",
        b"\xff\xfe\x00",
        b"a\n\x00\n",
        b"PAR1\x00",
    ],
)
def test_file_that_is_no_table_is_refused(client: TestClient, content: bytes) -> None:
    """Empty, ragged, binary or ambiguous files are a 422 that says why, without any path."""
    body = problem(upload(client, content), 422)

    assert body["detail"]
    assert "/tmp" not in body["detail"]  # noqa: S108 - what must not be there


@pytest.mark.parametrize(
    ("filename", "shown"),
    [("../../etc/passwd", "passwd"), ("C:\\x\\y.csv", "y.csv"), ("a\u202eb.csv", "ab.csv")],
)
def test_filename_of_a_client_is_only_shown(client: TestClient, filename: str, shown: str) -> None:
    """A file's name never leads anywhere, and control characters are not shown."""
    answer = upload(client, TABLE, filename)

    assert answer.status_code == 201
    assert answer.json()["name"] == shown


def test_upload_without_a_file_is_named(client: TestClient) -> None:
    """A form without the file is a 422 at `file`."""
    assert pointers(problem(client.post("/v1/datasets", data={"name": "x"}), 422)) == ["/file"]


@pytest.mark.parametrize(
    ("task", "pointer"),
    [
        ({"target": "none"}, "/dataset/task/target"),
        ({"inputs": ["value", "none"]}, "/dataset/task/inputs/1"),
        ({"target": "word"}, "/dataset/task/target"),
        ({"inputs": ["holes"]}, "/dataset/task/inputs/0"),
        ({"time": "none"}, "/dataset/task/time"),
        ({"series_id": "none"}, "/dataset/task/series_id"),
        ({"series_id": "holes"}, "/dataset/task/series_id"),
        ({"time": "holes"}, "/dataset/task/time"),
        ({"seq_len": 1}, "/dataset/task/seq_len"),
        ({"kind": "sing"}, "/dataset/task"),
        ({"seq_len": 60}, "/dataset/task/seq_len"),
    ],
)
def test_forecast_that_the_data_cannot_answer_is_named(
    client: TestClient, task: JsonObject, pointer: str
) -> None:
    """A task that does not fit the dataset is refused before a job is stored, by its pointer."""
    dataset_id = upload(client, HOLED).json()["id"]

    body = problem(client.post("/v1/jobs", json=forecast(dataset_id, **task)), 422)

    assert pointers(body) == [pointer]


def test_forecast_on_an_unknown_dataset_is_named(client: TestClient) -> None:
    """A dataset that was never uploaded is a 422 at its id."""
    body = problem(client.post("/v1/jobs", json=forecast("ds_" + "0" * 26)), 422)

    assert pointers(body) == ["/dataset/dataset_id"]
