from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from contract.curve import empty_curve
from contract.flow import Flow
from contract.job import Latest
from contract.store import Report
from tests.service.gateway import SPEC, MakeClient, StandInWorker, create, pointers, problem


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        ({"cell": {"kind": "lstm", "dropout": 0.5}}, "/cell/dropout"),
        ({"cell": {"kind": "lru"}, "remedy": {"init": {"kind": "orthogonal"}}}, "/remedy/init"),
    ],
)
def test_impossible_cell_is_a_422(client: TestClient, spec: dict[str, Any], pointer: str) -> None:
    """A combination that makes no sense is refused, and the pointer says where."""
    body = problem(client.post("/v1/jobs", json=SPEC | spec), 422)

    assert pointers(body) == [pointer]


def test_flow_of_a_bidirectional_network_names_layer_and_direction(
    client: TestClient, worker: StandInWorker
) -> None:
    """Each layer is listed forward and then reverse, each with its own numbers."""
    job_id = create(client, cell={"kind": "gru", "num_layers": 2, "bidirectional": True})["id"]
    norms_LT = np.arange(12.0).reshape(4, 3)
    flow = Flow(1, norms_LT, norms_LT, (1, 2, 3, 0))
    report = Report(empty_curve(), Latest(), None, flows=(flow,))
    worker.store.leases.report_all({worker.claim(): report})

    layers = client.get(f"/v1/jobs/{job_id}/gradient-flow").json()["layers"]

    assert [(layer["layer"], layer["direction"]) for layer in layers] == [
        (0, "forward"), (0, "reverse"), (1, "forward"), (1, "reverse"),
    ]  # fmt: skip
    assert [layer["grad_norm"][0] for layer in layers] == norms_LT.tolist()


def test_states_of_both_directions_count(make_client: MakeClient) -> None:
    """A bidirectional batch of exactly the limit is taken, one number more is not."""
    cell = {"kind": "gru", "hidden_size": 64, "bidirectional": True}
    create(make_client(max_state_floats=2 * 409_600), cell=cell)

    answer = make_client(max_state_floats=2 * 409_600 - 1).post(
        "/v1/jobs", json=SPEC | {"cell": cell}
    )

    assert "max_state_floats" in problem(answer, 422)["detail"]


@pytest.mark.parametrize(
    ("dataset", "steps"),
    [
        ({"kind": "copy_memory", "lag": 100, "num_values": 5}, 110),
        ({"kind": "sequential_digits"}, 64),
    ],
)
def test_length_of_a_dataset_without_seq_len_counts(
    make_client: MakeClient, dataset: dict[str, Any], steps: int
) -> None:
    """Half the states of such sequences are too low a limit, twice as many are enough."""
    floats = 64 * steps * 64
    create(make_client(max_state_floats=2 * floats), dataset=dataset)

    answer = make_client(max_state_floats=floats // 2).post(
        "/v1/jobs", json=SPEC | {"dataset": dataset}
    )

    assert "max_state_floats" in problem(answer, 422)["detail"]
