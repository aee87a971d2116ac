"""`unroll serve`: bundled Valkey, one gateway and one worker as supervised child processes."""

import fcntl
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contract.settings import Settings
from contract.store import Store, migrate
from service.bundled_broker import find_server, make_broker
from service.supervision import Role, Supervision


class DataFolderInUseError(Exception):
    """Another `unroll serve` runs on this data folder."""


class PortInUseError(Exception):
    """Something listens on the port already; a gateway started there would end at once."""


def serve(settings: Settings) -> None:
    """Run the embedded stack until SIGINT or SIGTERM; a second start goes on where it stopped.

    Raises:
        DataFolderInUseError: another embedded stack uses the folder.
        PortInUseError: something listens on the port already.
    """
    data_dir = settings.data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    _check_port(settings)
    supervision = Supervision()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: supervision.stop())
    with _only_one(data_dir):
        _migrate(settings)
        try:
            for role in _roles(settings, data_dir):
                supervision.start(role)
            supervision.keep_running()
        finally:
            supervision.end_all()


def _check_port(settings: Settings) -> None:
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise PortInUseError(
                f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
            ) from None


def _migrate(settings: Settings) -> None:
    store = Store(settings.resolved_database_url())
    migrate(store.engine)
    store.close()


def _roles(settings: Settings, data_dir: Path) -> Iterator[Role]:
    """Broker, gateway and worker; without a broker the worker's poll serves."""
    environment = os.environ | {
        "UNROLL_DATA_DIR": str(data_dir),
        "UNROLL_HOST": settings.host,
        "UNROLL_PORT": str(settings.port),
        # One training thread a process, whatever the mathematics library would take.
        "OMP_NUM_THREADS": str(settings.threads),
    }
    program = find_server()
    if settings.redis_url is None and program is not None:
        broker, environment["UNROLL_REDIS_URL"] = make_broker(program, data_dir)
        yield broker
    yield Role("gateway", [sys.executable, "-m", "service"], environment)
    yield Role("worker", [sys.executable, "-m", "worker"], environment)


@contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    with (data_dir / "serve.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataFolderInUseError(
                f"another `unroll serve` already uses {data_dir.name}"
            ) from None
        yield
