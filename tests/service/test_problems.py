from typing import Any

import pytest
from fastapi.testclient import TestClient

from contract.store import Store
from tests.service.gateway import SPEC, MakeClient, app_of, pointers, problem


def test_unknown_page_is_a_problem(client: TestClient) -> None:
    """A path that does not exist is a 404 problem."""
    assert problem(client.get("/v1/nothing"), 404)["code"] == "not_found"


def test_wrong_method_is_a_problem_with_what_is_allowed(client: TestClient) -> None:
    """A method that a path does not have is a 405 that names those it has."""
    answer = client.put("/v1/jobs/job_x/cancel")

    problem(answer, 405)
    assert answer.headers["allow"] == "POST"


def test_body_that_is_not_json_is_malformed(client: TestClient) -> None:
    """A body that cannot be parsed is a 400 problem."""
    headers = {"content-type": "application/json"}

    assert (
        problem(client.post("/v1/jobs", content="{", headers=headers), 400)["code"] == "malformed"
    )


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"training": {"optimizer": {"kind": "adam", "lr": -1}}}, "/training/optimizer/lr"),
        ({"dataset": {"kind": "adding", "seq_len": 1}}, "/dataset/seq_len"),
        ({"remedy": {"clipping": {"kind": "norm", "max_norm": 0}}}, "/remedy/clipping/max_norm"),
        ({"remedy": {"clipping": {"kind": "magic"}}}, "/remedy/clipping"),
        ({"cell": {"kind": "rnn", "size": 3}}, "/cell/size"),
        ({"cell": {}}, "/cell"),
        ({"tags": ["a", 1]}, "/tags/1"),
        ({"a/b~c": 1}, "/a~1b~0c"),
        (
            {"cell": {"kind": "gru"}, "remedy": {"activation": {"kind": "relu"}}},
            "/remedy/activation",
        ),
    ],
)  # fmt: skip
def test_bad_spec_is_named_by_pointer(
    client: TestClient, patch: dict[str, Any], pointer: str
) -> None:
    """Each wrong place is a JSON pointer into the body, without the kinds of unions in it."""
    assert pointers(problem(client.post("/v1/jobs", json=SPEC | patch), 422)) == [pointer]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_number_that_is_not_finite_is_refused(client: TestClient, number: str) -> None:
    """What is no finite number is refused, in whatever way it is written."""
    text = (
        '{"dataset": {"kind": "adding"}, "cell": {"kind": "rnn"}, '
        f'"training": {{"optimizer": {{"kind": "adam", "lr": {number}}}}}}}'
    )

    answer = client.post("/v1/jobs", content=text, headers={"content-type": "application/json"})

    assert pointers(problem(answer, 422)) == ["/training/optimizer/lr"]


def test_body_beyond_the_limit_is_a_413(make_client: MakeClient) -> None:
    """A body larger than the limit is refused."""
    client = make_client(max_body_bytes=500)

    problem(client.post("/v1/jobs", json=SPEC | {"name": "x" * 600}), 413)


def test_defect_of_ours_tells_nothing_but_its_id(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception nobody foresaw is a 500 with the request's id, and without any of its text."""

    def fail(*_: object) -> None:
        raise RuntimeError("secret /etc/passwd")

    monkeypatch.setattr(app_of(client).state.store.jobs, "read", fail)

    answer = client.get("/v1/jobs/job_x", headers={"X-Request-ID": "mine"})

    assert problem(answer, 500)["instance"] == "mine"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_database_out_of_reach_is_a_503(client: TestClient) -> None:
    """Without a database the gateway says so, and is not ready."""
    app_of(client).state.store = Store("postgresql+psycopg://nobody@127.0.0.1:1/none")

    assert problem(client.get("/v1/jobs"), 503)["code"] == "unavailable"
    problem(client.get("/readyz"), 503)
    assert client.get("/healthz").json() == {"status": "ok"}


def test_request_id_is_taken_over(client: TestClient) -> None:
    """A sensible id of the client's is answered and used."""
    answer = client.get("/healthz", headers={"X-Request-ID": "abc-123"})

    assert answer.headers["x-request-id"] == "abc-123"


@pytest.mark.parametrize("sent", ["a b", "x" * 65, ""])
def test_strange_request_id_is_replaced(client: TestClient, sent: str) -> None:
    """An id that is too long or not printable is replaced by ours."""
    answer = client.get("/healthz", headers={"X-Request-ID": sent})

    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("path", ["/healthz", "/v1/jobs", "/v1/nothing", "/openapi.json"])
def test_every_answer_has_security_headers(client: TestClient, path: str) -> None:
    """Browsers are told not to sniff, not to frame and not to load anything."""
    headers = client.get(path).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
