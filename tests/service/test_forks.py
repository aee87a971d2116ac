from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.service.gateway import create, pointers, problem


def fork(client: TestClient, job_id: str, patch: Any) -> Any:  # noqa: ANN401 - any JSON
    """Fork a job."""
    return client.post(f"/v1/jobs/{job_id}/fork", json={"patch": patch})


def test_fork_is_the_patched_spec_as_a_new_job(client: TestClient) -> None:
    """A fork is a new job with its parent's id; only what the patch names differs."""
    parent = create(client, training={"seed": 3})

    answer = fork(client, parent["id"], {"training": {"max_steps": 7}})

    child = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/jobs/{child['id']}"
    assert child["parent_id"] == parent["id"]
    assert child["spec"]["training"]["max_steps"] == 7
    assert child["spec"]["training"]["seed"] == 3


def test_null_removes_a_remedy(client: TestClient) -> None:
    """Null takes a member of the spec away."""
    parent = create(client, remedy={"clipping": {"kind": "norm"}})

    child = fork(client, parent["id"], {"remedy": {"clipping": None}}).json()

    assert child["spec"]["remedy"]["clipping"] is None


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"cell": None}, "/cell"),
        ({"cell": {"hidden_size": -1}}, "/cell/hidden_size"),
        ({"colour": 1}, "/colour"),
        ({"body": 1}, "/body"),
        ({"path": 1}, "/path"),
        ({"remedy": {"init": {"kind": "chrono", "max_lag": 9}}}, "/remedy/init"),
    ],
)
def test_patch_that_spoils_the_spec_is_named(
    client: TestClient, patch: dict[str, Any], pointer: str
) -> None:
    """A patch whose result is no valid spec is a 422 with the place in the patched spec."""
    parent = create(client)

    body = problem(fork(client, parent["id"], patch), 422)

    assert pointers(body) == [pointer]


@pytest.mark.parametrize(
    "body", [{"patch": []}, {"from_step": 5}, {"patch": {}, "step": 1}, [], "x"]
)
def test_malformed_fork_is_refused(client: TestClient, body: Any) -> None:  # noqa: ANN401 - any JSON
    """What is not a fork request is a 422."""
    parent = create(client)

    problem(client.post(f"/v1/jobs/{parent['id']}/fork", json=body), 422)


def test_deep_patch_is_refused(client: TestClient) -> None:
    """A patch nested a thousand times deep is refused, not a failure of the service."""
    parent = create(client)
    text = '{"patch":' + '{"a":' * 1000 + "1" + "}" * 1001

    answer = client.post(
        f"/v1/jobs/{parent['id']}/fork",
        content=text,
        headers={"content-type": "application/json"},
    )

    assert problem(answer, 400)["code"] == "malformed"


def test_patch_as_deep_as_a_body_may_be_is_refused_by_its_place(client: TestClient) -> None:
    """A patch that is deep, but not too deep to be read, is a 422 like any unknown member."""
    parent = create(client)
    patch: dict[str, Any] = {"b": 1}
    for _ in range(600):
        patch = {"a": patch}

    assert pointers(problem(fork(client, parent["id"], patch), 422)) == ["/a"]


def test_empty_patch_runs_the_same_again(client: TestClient) -> None:
    """A fork without a patch has the parent's spec, and leaves the parent as it was."""
    parent = create(client, training={"seed": 3}, tags=["demo"])

    child = client.post(f"/v1/jobs/{parent['id']}/fork", json={}).json()

    assert child["id"] != parent["id"]
    assert child["spec"] == parent["spec"]
    assert client.get(f"/v1/jobs/{parent['id']}").json()["parent_id"] is None


def test_fork_of_an_unknown_job_is_a_404(client: TestClient) -> None:
    """There is nothing to fork."""
    problem(fork(client, "job_none", {}), 404)
