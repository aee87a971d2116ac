import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from contract.broker import MOST_RINGS, count_rings, make_celery, queue_of, ring
from service.bundled_broker import find_server


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Celery]:
    """A Celery app on a broker of its own."""
    server = find_server()
    assert server, "a Redis or Valkey server is needed: install the extra `embedded`"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [server, "--port", str(port), "--dir", str(tmp_path), "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    app = make_celery(f"redis://127.0.0.1:{port}/0")
    wait_until_reachable(app)
    yield app
    app.close()
    process.terminate()
    process.wait()


def wait_until_reachable(app: Celery) -> None:
    """Wait for the broker to answer."""
    deadline = time.monotonic() + 10
    while True:
        try:
            count_rings(app, queue_of("cpu"))
        except OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def test_ring_reaches_the_queue_of_its_device(app: Celery) -> None:
    """A job for the CPU rings there alone; one for any device rings everywhere."""
    ring(app, "job_a", "cpu")
    ring(app, "job_b", "auto")

    assert count_rings(app, queue_of("cpu")) == 2
    assert count_rings(app, queue_of("cuda")) == 1


def test_rings_that_nobody_hears_do_not_pile_up(app: Celery) -> None:
    """However often it is rung, a queue holds no more than a fixed number of messages."""
    for _ in range(MOST_RINGS + 10):
        ring(app, "job_a", "cuda")

    assert count_rings(app, queue_of("cuda")) == MOST_RINGS
