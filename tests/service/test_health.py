import time

from fastapi.testclient import TestClient

from contract.store import Store
from tests.service.gateway import MakeClient, app_of, create, problem


def test_gateway_without_a_broker_is_ready(client: TestClient) -> None:
    """Without a broker jobs are found by the workers' own poll: the gateway is ready."""
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {"database": "reachable", "broker": "none"}


def test_gateway_whose_broker_is_away_takes_jobs(make_client: MakeClient) -> None:
    """A broker that refuses connections delays no answer, and is reported once noticed."""
    client = make_client(redis_url="redis://127.0.0.1:1/0")
    start = time.monotonic()

    create(client)

    assert time.monotonic() - start < 2
    deadline = time.monotonic() + 15
    while client.get("/readyz").json()["broker"] != "unreachable":
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_database_out_of_reach_is_a_503(client: TestClient) -> None:
    """Without a database the gateway says so and is not ready, but the process lives."""
    app_of(client).state.store = Store("postgresql+psycopg://nobody@127.0.0.1:1/none")

    assert problem(client.get("/v1/jobs"), 503)["code"] == "unavailable"
    assert "127.0.0.1" not in problem(client.get("/readyz"), 503)["detail"]
    assert client.get("/healthz").json() == {"status": "ok"}
