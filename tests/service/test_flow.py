import math

import numpy as np
from fastapi.testclient import TestClient

from contract.curve import empty_curve
from contract.flow import Flow
from contract.job import Latest
from contract.store import Report
from tests.service.gateway import StandInWorker, create, pointers, problem


def test_gradient_flow_is_read_by_layer(client: TestClient, job_id: str) -> None:
    """Flow has a row for each recorded step and a column for each time step."""
    body = client.get(f"/v1/jobs/{job_id}/gradient-flow").json()

    assert body["steps"] == [60, 100]
    assert body["time_steps"] == list(range(1, 21))
    first, second = body["layers"]
    assert (first["layer"], second["layer"]) == (0, 1)
    assert first["grad_norm"][0] == list(range(1, 21))
    assert second["grad_norm"][0] == list(range(10, 201, 10))
    assert (first["weight_term_norm"][1][0], second["weight_term_norm"][1][0]) == (0.5, 5)
    assert (first["reach"], second["reach"]) == ([7, 7], [9, 9])


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


def test_flow_is_cut_by_step(client: TestClient, job_id: str) -> None:
    """`from_step` and `to_step` choose the records, both included."""
    address = f"/v1/jobs/{job_id}/gradient-flow"

    assert client.get(f"{address}?from_step=60&to_step=99").json()["steps"] == [60]
    assert client.get(f"{address}?from_step=61").json()["steps"] == [100]


def test_flow_that_is_not_finite_is_null(client: TestClient, worker: StandInWorker) -> None:
    """A norm that is inf or nan is null, for JSON holds neither."""
    job_id = create(client)["id"]
    norms = np.array([[math.inf, 1.0, math.nan]])
    report = Report(empty_curve(), Latest(), None, flows=(Flow(1, norms, norms, (3,)),))
    worker.store.leases.report_all({worker.claim(): report})

    (layer,) = client.get(f"/v1/jobs/{job_id}/gradient-flow").json()["layers"]

    assert layer["grad_norm"] == layer["weight_term_norm"] == [[None, 1, None]]


def test_bad_flow_query_is_named(client: TestClient, job_id: str) -> None:
    """A bound out of range is a 422 at its parameter."""
    answer = client.get(f"/v1/jobs/{job_id}/gradient-flow?max_time_steps=0")

    assert pointers(problem(answer, 422)) == ["max_time_steps"]
