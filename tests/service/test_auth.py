import pytest
from fastapi.testclient import TestClient

from tests.service.gateway import SPEC, MakeClient, problem

KEYS = "first-key,second-key"


@pytest.fixture
def guarded(make_client: MakeClient) -> TestClient:
    """A gateway with two keys."""
    return make_client(api_keys=KEYS)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic Zmlyc3Qta2V5"},
        {"Authorization": f"Bearer {KEYS}"},
    ],
)
def test_request_without_a_key_is_turned_away(guarded: TestClient, headers: dict[str, str]) -> None:
    """No key, a wrong one or another scheme is a 401 that says what is asked for."""
    for answer in (
        guarded.get("/v1/jobs", headers=headers),
        guarded.post("/v1/jobs", json=SPEC, headers=headers),
        guarded.post("/v1/datasets", files={"file": b"a\n1"}, headers=headers),
    ):
        problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", KEYS.split(","))
def test_each_key_opens(guarded: TestClient, key: str) -> None:
    """Any one of the keys is enough."""
    answer = guarded.get("/v1/jobs", headers={"Authorization": f"Bearer {key}"})

    assert answer.status_code == 200


def test_health_needs_no_key(guarded: TestClient) -> None:
    """Probes have no key."""
    assert guarded.get("/healthz").status_code == 200
    assert guarded.get("/readyz").status_code == 200


def test_document_asks_for_a_key_only_where_one_is_needed(
    guarded: TestClient, client: TestClient
) -> None:
    """Swagger UI shows Authorize if keys are set, and does not confuse anyone otherwise."""
    assert "securitySchemes" in guarded.get("/openapi.json").json()["components"]
    assert "securitySchemes" not in client.get("/openapi.json").json()["components"]


def test_every_operation_but_the_probes_is_guarded(guarded: TestClient) -> None:
    """Without a key each operation under /v1 is a 401, and the document says so of each."""
    paths = guarded.get("/openapi.json").json()["paths"]
    operations = [
        (method, path, operation)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if path.startswith("/v1/")
    ]

    assert len(operations) >= 15
    for method, path, operation in operations:
        problem(guarded.request(method, path), 401)
        assert operation["security"]
        assert "401" in operation["responses"]


def test_gateway_without_keys_is_open(client: TestClient) -> None:
    """Where no key is set none is asked for, and one that is sent does no harm."""
    answer = client.get("/v1/jobs", headers={"Authorization": "Bearer any"})

    assert answer.status_code == 200
