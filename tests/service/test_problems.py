from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.security_headers import SECURITY_HEADERS
from tests.service.gateway import SPEC, MakeClient, app_of, pointers, problem


def test_unknown_page_is_a_problem(client: TestClient) -> None:
    """A path that does not exist is a 404 problem."""
    assert problem(client.get("/v1/nothing"), 404)["code"] == "not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs/job_x/cancel", "POST"),
        ("PUT", "/v1/jobs", "GET, POST"),
        ("PATCH", "/v1/datasets/ds_x", "DELETE, GET"),
        ("TRACE", "/v1/datasets", "GET, POST"),
        ("POST", "/ui/swagger/swagger-ui.css", "GET, HEAD"),
    ],
)
def test_wrong_method_is_a_problem_with_what_is_allowed(
    client: TestClient, method: str, path: str, allowed: str
) -> None:
    """A method that a path does not have is a 405 that names those it has."""
    answer = client.request(method, path)

    assert problem(answer, 405)["code"] == "method_not_allowed"
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b'{"name": "\xff"}', b'{"a":' * 5_000, b'{"seed": ' + b"9" * 5_000 + b"}"],
)
def test_body_that_cannot_be_parsed_is_malformed(client: TestClient, body: bytes) -> None:
    """A body that is no JSON, no text, too deep or has an endless number is a 400 problem."""
    answer = client.post("/v1/jobs", content=body, headers={"content-type": "application/json"})

    malformed = problem(answer, 400)

    assert (malformed["code"], malformed["title"]) == ("malformed", "Malformed request")


def test_kind_of_problem_has_one_title(client: TestClient) -> None:
    """A path and a job that do not exist are the same kind of problem, under the same title."""
    no_path, no_job = (problem(client.get(path), 404) for path in ("/none", "/v1/jobs/none"))

    assert {(body["type"], body["title"]) for body in (no_path, no_job)} == {
        ("/problems/not_found", "Not found")
    }


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
    assert_protected(answer)


def test_request_id_is_taken_over(client: TestClient) -> None:
    """A sensible id of the client's is answered and used."""
    answer = client.get("/healthz", headers={"X-Request-ID": "abc-123"})

    assert answer.headers["x-request-id"] == "abc-123"


@pytest.mark.parametrize("sent", ["a b", "x" * 65, ""])
def test_strange_request_id_is_replaced(client: TestClient, sent: str) -> None:
    """An id that is too long or not printable is replaced by ours."""
    answer = client.get("/healthz", headers={"X-Request-ID": sent})

    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/nothing"),
        ("GET", "/openapi.json"),
        ("GET", "/docs"),
        ("GET", "/"),
        ("PUT", "/v1/jobs"),
        ("POST", "/v1/jobs"),
        ("GET", "/v1/jobs/"),
    ],
)
def test_every_answer_has_security_headers(client: TestClient, method: str, path: str) -> None:
    """Browsers are told not to sniff, not to frame and not to load anything."""
    assert_protected(client.request(method, path, follow_redirects=False))


def test_answer_to_a_body_beyond_the_limit_has_security_headers(make_client: MakeClient) -> None:
    """The answer that cuts a body off is as protected as any other."""
    answer = make_client(max_body_bytes=10).post("/v1/jobs", json=SPEC)

    assert answer.status_code == 413
    assert_protected(answer)


def assert_protected(answer: Any) -> None:  # noqa: ANN401 - a response
    """Assert that an answer has every security header; a page may have a policy of its own."""
    for name, value in SECURITY_HEADERS.items():
        if name != "Content-Security-Policy":
            assert answer.headers[name] == value
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
