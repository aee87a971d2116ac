import math
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.service.gateway import JsonObject, StandInWorker, app_of, create, pointers, problem


@pytest.fixture
def job_id(client: TestClient, worker: StandInWorker) -> str:
    """A running job with 100 steps: loss is the step, inf at 50, nan at 51."""
    job_id: str = create(client)["id"]
    losses = [float(step) for step in range(1, 101)]
    losses[49], losses[50] = math.inf, math.nan
    lease = worker.claim()
    worker.report(lease, losses[:60])
    worker.report(lease, losses[60:], first=61)
    return job_id


def curves(client: TestClient, job_id: str, query: str = "") -> JsonObject:
    """Read curves."""
    answer = client.get(f"/v1/jobs/{job_id}/curves?{query}")
    assert answer.status_code == 200, answer.text
    body: JsonObject = answer.json()
    return body


def test_every_step_can_be_read(client: TestClient, job_id: str) -> None:
    """Without a limit in the way, each step is one point of every series."""
    body = curves(client, job_id)

    assert body["step"] == list(range(1, 101))
    assert (body["first_step"], body["last_step"], body["bucket_size"]) == (1, 100, 1)
    assert set(body["series"]) == {
        "loss", "lr", "grad_norm", "clip_coef", "param_norm", "update_ratio"
    }  # fmt: skip
    assert body["evals"] == {"step": [60, 100], "val_loss": [60, 100], "val_metric": [0.5, 0.5]}


def test_buckets_keep_exact_extremes(client: TestClient, job_id: str) -> None:
    """Ten buckets of ten steps hold each one's minimum, maximum and last value."""
    body = curves(client, job_id, "max_points=10&series=loss")

    assert body["returned_points"] == 10
    assert body["total_points"] == 100
    assert body["step"] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert body["series"]["loss"]["min"][:2] == [1, 11]
    assert body["series"]["loss"]["max"][4] == 49
    assert body["series"]["loss"]["last"][4] is None


def test_nonfinite_values_are_null_and_listed(client: TestClient, job_id: str) -> None:
    """Inf and nan are null in the arrays, and each is listed with its step."""
    body = curves(client, job_id, "series=loss")

    assert body["series"]["loss"]["last"][49:51] == [None, None]
    assert body["nonfinite"] == [
        {"step": 50, "series": "loss", "kind": "inf"},
        {"step": 51, "series": "loss", "kind": "nan"},
    ]


def test_range_of_steps_is_cut_exactly(client: TestClient, job_id: str) -> None:
    """`from_step` and `to_step` are included, `after_step` is not."""
    assert curves(client, job_id, "from_step=59&to_step=62")["step"] == [59, 60, 61, 62]
    assert curves(client, job_id, "after_step=98")["step"] == [99, 100]
    assert curves(client, job_id, "after_step=100")["step"] == []


def test_job_without_steps_has_empty_curves(client: TestClient) -> None:
    """A queued job's curves are empty, not an error."""
    body = curves(client, create(client)["id"])

    assert (body["first_step"], body["total_points"], body["step"]) == (None, 0, [])
    assert body["series"]["loss"] == {"min": [], "max": [], "last": []}


@pytest.mark.parametrize(
    ("query", "place"),
    [("series=loss,speed", "series"), ("max_points=0", "max_points"), ("from_step=x", "from_step")],
)
def test_bad_curve_query_is_named(client: TestClient, job_id: str, query: str, place: str) -> None:
    """An unknown series or a bad number is a 422 at its parameter."""
    body = problem(client.get(f"/v1/jobs/{job_id}/curves?{query}"), 422)

    assert pointers(body) == [place]


def test_gradient_flow_is_read_by_layer(client: TestClient, job_id: str) -> None:
    """Flow has a row for each recorded step and a column for each time step."""
    body = client.get(f"/v1/jobs/{job_id}/gradient-flow").json()

    assert body["steps"] == [60, 100]
    assert body["time_steps"] == list(range(1, 21))
    (layer,) = body["layers"]
    assert layer["grad_norm"][0] == list(range(1, 21))
    assert layer["weight_term_norm"][1][0] == 0.5
    assert layer["reach"] == [7, 7]


def test_large_gradient_flow_is_thinned_with_both_ends(client: TestClient, job_id: str) -> None:
    """A selection of steps and time steps keeps the first and the last of each."""
    query = "max_steps=1&max_time_steps=3"
    body = client.get(f"/v1/jobs/{job_id}/gradient-flow?{query}").json()

    assert body["steps"] == [100]
    assert body["time_steps"] == [1, 11, 20]
    assert body["layers"][0]["grad_norm"] == [[1, 11, 20]]


def test_job_without_flow_answers_empty(client: TestClient) -> None:
    """A queued job's flow is empty, not an error."""
    body = client.get(f"/v1/jobs/{create(client)['id']}/gradient-flow").json()

    assert body == {"steps": [], "time_steps": [], "layers": []}


def test_diagnosis_before_the_first_measure_is_inconclusive(client: TestClient) -> None:
    """A queued job's diagnosis says that nothing is known."""
    body = client.get(f"/v1/jobs/{create(client)['id']}/diagnosis").json()

    assert (body["verdict"], body["final"], body["measures"]) == ("inconclusive", False, None)


def test_diagnosis_becomes_final_with_the_job(client: TestClient, job_id: str) -> None:
    """While the job runs its diagnosis is not final; once it has ended, it is."""
    assert client.get(f"/v1/jobs/{job_id}/diagnosis").json()["final"] is False
    store = app_of(client).state.store
    store.jobs.request_cancel(job_id)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET lease_until = 1")
    store.jobs.return_lost(5)

    assert client.get(f"/v1/jobs/{job_id}/diagnosis").json()["final"] is True


def test_files_of_a_job_are_listed_and_sent(
    client: TestClient, job_id: str, tmp_path: Path
) -> None:
    """A stored file is listed with its size and can be fetched; another name cannot."""
    source = tmp_path / "weights"
    source.write_bytes(b"1234")
    app_of(client).state.artifacts.put(source, "jobs", job_id, "model.safetensors")

    (listed,) = client.get(f"/v1/jobs/{job_id}/artifacts").json()["data"]

    assert (listed["name"], listed["bytes"]) == ("model.safetensors", 4)
    assert client.get(listed["url"]).content == b"1234"
    problem(client.get(f"/v1/jobs/{job_id}/artifacts/..%2F..%2Fetc"), 404)
    problem(client.get(f"/v1/jobs/{job_id}/artifacts/other"), 404)
