from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.service.gateway import SPEC, MakeClient, create, problem


@pytest.mark.parametrize(
    ("setting", "value", "patch"),
    [
        ("max_parameters", 1_000, {"cell": {"kind": "lstm", "hidden_size": 64}}),
        ("max_state_floats", 10_000, {"training": {"batch_size": 64}}),
    ],
)
def test_spec_beyond_a_limit_names_it(
    make_client: MakeClient, setting: str, value: int, patch: dict[str, Any]
) -> None:
    """A network or a batch that is too large is a 422 that names the setting."""
    client = make_client(**{setting: value})

    body = problem(client.post("/v1/jobs", json=SPEC | patch), 422)

    assert body["code"] == "limit_exceeded"
    assert setting in body["detail"]


def test_full_queue_names_its_limit(make_client: MakeClient) -> None:
    """One job more than may wait is refused."""
    client = make_client(max_queued_jobs=1)
    create(client)

    assert "max_queued_jobs" in problem(client.post("/v1/jobs", json=SPEC), 422)["detail"]


@pytest.mark.parametrize(
    ("dataset", "floats"),
    [
        ({"kind": "adding", "seq_len": 9_999}, 64 * 9_999 * 64),
        ({"kind": "subject_recall", "gap": 9_000}, 64 * 9_000 * 64),
        ({"kind": "copy_memory", "lag": 9_000}, 64 * 9_020 * (64 + 9)),
        ({"kind": "sequential_digits"}, 64 * 64 * 64),
    ],
)
def test_length_of_each_dataset_counts(
    make_client: MakeClient, dataset: dict[str, Any], floats: int
) -> None:
    """The limit on a batch's states sees the sequence's length, whatever the dataset calls it."""
    client = make_client(max_state_floats=floats // 2)

    problem(client.post("/v1/jobs", json=SPEC | {"dataset": dataset}), 422)


def test_limits_leave_usual_specs_alone(client: TestClient) -> None:
    """The largest network of the tests' machine passes the usual limits."""
    create(client, cell={"kind": "lstm", "hidden_size": 512, "num_layers": 2})


@pytest.mark.parametrize(
    ("cell", "parameters"),
    [
        # Layers of gates * hidden * (inputs + hidden + 2), then the readout, on 80 inputs.
        ({"kind": "rnn", "hidden_size": 10}, 10 * 92 + 11 * 80),
        ({"kind": "gru", "hidden_size": 10}, 3 * 10 * 92 + 11 * 80),
        (
            {"kind": "lstm", "hidden_size": 10, "num_layers": 3},
            4 * 10 * 92 + 2 * 4 * 10 * 22 + 11 * 80,
        ),
    ],
)
def test_limit_on_parameters_is_exact(
    make_client: MakeClient, cell: dict[str, Any], parameters: int
) -> None:
    """A network of exactly the limit is taken, one parameter more is not."""
    create(make_client(max_parameters=parameters), cell=cell)

    answer = make_client(max_parameters=parameters - 1).post("/v1/jobs", json=SPEC | {"cell": cell})

    assert "max_parameters" in problem(answer, 422)["detail"]


def test_answers_due_at_every_step_count_as_states(make_client: MakeClient) -> None:
    """Copying 10 of 8 symbols after 80 steps: 64 sequences of 100 steps, 64 units and 9 outputs."""
    dataset = {"kind": "copy_memory", "lag": 80}
    create(make_client(max_state_floats=64 * 100 * 73), dataset=dataset)

    client = make_client(max_state_floats=64 * 100 * 73 - 1)

    problem(client.post("/v1/jobs", json=SPEC | {"dataset": dataset}), 422)


def test_limit_on_states_is_exact(make_client: MakeClient) -> None:
    """A batch of exactly the limit is taken, one number more is not: 64 * 100 * 64 here."""
    create(make_client(max_state_floats=409_600))

    answer = make_client(max_state_floats=409_599).post("/v1/jobs", json=SPEC)

    assert "max_state_floats" in problem(answer, 422)["detail"]


def test_limits_hold_for_forks(make_client: MakeClient) -> None:
    """What may not be sent may not be patched together either."""
    client = make_client(max_parameters=20_000)
    job_id = create(client)["id"]

    answer = client.post(
        f"/v1/jobs/{job_id}/fork", json={"patch": {"cell": {"hidden_size": 4_096}}}
    )

    assert problem(answer, 422)["code"] == "limit_exceeded"


def test_cancelled_job_makes_room_in_the_queue(make_client: MakeClient) -> None:
    """Only jobs that wait count against the queue's limit."""
    client = make_client(max_queued_jobs=1)
    client.post(f"/v1/jobs/{create(client)['id']}/cancel")

    create(client)
