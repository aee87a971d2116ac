import pytest
from fastapi.testclient import TestClient

from tests.service.gateway import SPEC, create, pointers, problem

LONG = b"t,value\n" + b"".join(b"2020-01-%02d x,%d\n" % (at % 28 + 1, at) for at in range(100))


@pytest.mark.parametrize("filename", ["A.PARQUET", "a.csv.gz", "a.xlsx", "a.npy"])
def test_file_of_another_format_is_refused_by_its_name(client: TestClient, filename: str) -> None:
    """What says it is something else is not read as CSV."""
    answer = client.post("/v1/datasets", files={"file": (filename, b"a,b\n1,2\n")})

    body = problem(answer, 422)
    assert pointers(body) == ["/file"]
    assert "not" in body["detail"]


@pytest.mark.parametrize(
    ("task", "pointer"),
    [({"seq_len": 70}, "/dataset/task/seq_len"), ({"time": "t"}, "/dataset/task/time")],
)
def test_forecast_that_would_fail_later_is_refused_now(
    client: TestClient, task: dict[str, object], pointer: str
) -> None:
    """Rows and order are checked by the worker's own rule before the job is stored."""
    dataset_id = client.post("/v1/datasets", files={"file": LONG}).json()["id"]
    whole = {"kind": "forecast", "target": "value", "inputs": ["value"], "seq_len": 5} | task
    dataset = {"kind": "upload", "dataset_id": dataset_id, "task": whole}

    body = problem(client.post("/v1/jobs", json=SPEC | {"dataset": dataset}), 422)

    assert pointers(body) == [pointer]


def test_empty_bound_is_no_bound(client: TestClient) -> None:
    """A template's empty `from_step=` and the like are as good as nothing."""
    query = "from_step=&to_step=&after_step=&max_points=1000"

    assert client.get(f"/v1/jobs/{create(client)['id']}/curves?{query}").status_code == 200


def test_catalog_refers_to_nothing_outside_it(client: TestClient) -> None:
    """An upload's task is described in place, with its own fields."""
    catalog = client.get("/v1/catalog")

    (task,) = [
        parameter
        for entry in catalog.json()["datasets"]
        for parameter in entry["parameters"]
        if parameter["name"] == "task"
    ]
    assert "$ref" not in catalog.text
    assert ["target" in member["properties"] for member in task["json_schema"]["oneOf"]] == [
        True,
        False,
        False,
    ]
