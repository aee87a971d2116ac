"""A gateway in this process."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from contract.settings import Settings
from service.app import create_app
from tests.service.gateway import MakeClient, StandInWorker, create


@pytest.fixture
def make_client(sqlite_url: str, tmp_path: Path) -> Iterator[MakeClient]:
    """Starts a gateway with the settings that a test changes."""
    clients: list[TestClient] = []

    def start(**changes: Any) -> TestClient:  # noqa: ANN401 - any setting
        settings = Settings(
            database_url=sqlite_url, artifacts_url=str(tmp_path / "artifacts"), **changes
        )
        client = TestClient(create_app(settings), raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """A gateway with the usual settings, no keys and no broker."""
    return make_client()


@pytest.fixture
def worker(client: TestClient) -> StandInWorker:
    """A stand-in worker on the client's database."""
    return StandInWorker.of(client)


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
