import socket
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from contract.job import JobStatus
from contract.settings import Settings
from contract.spec import JobSpec
from contract.store import Store
from service.doorbell import Doorbell
from service.sweeper import Sweeper


class RecordingDoorbell(Doorbell):
    """Keeps whom it was rung for."""

    def __init__(self) -> None:
        super().__init__(redis_url=None)
        self.rung: list[str] = []

    def ring(self, job_id: str, device: str) -> None:
        """Note the ring."""
        assert device in {"auto", "cpu", "cuda"}
        self.rung.append(job_id)


@pytest.fixture
def black_hole() -> Iterator[socket.socket]:
    """A listener that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener


def test_sweep_rings_for_a_waiting_job(store: Store, spec: JobSpec) -> None:
    """A job that nobody was told of is rung for, once."""
    job_id = store.jobs.create(spec, max_queued=10).id
    doorbell = RecordingDoorbell()
    sweeper = Sweeper(store, doorbell, Settings())

    sweeper.sweep()
    sweeper.sweep()

    assert doorbell.rung == [job_id]


def test_sweep_returns_a_lost_job_and_rings_for_it(store: Store, spec: JobSpec) -> None:
    """A job whose worker fell silent waits again, and workers are told."""
    job_id = store.jobs.create(spec, max_queued=10).id
    store.leases.claim("w", "cpu", 60, 1)
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET lease_until = 1"))
    doorbell = RecordingDoorbell()

    Sweeper(store, doorbell, Settings()).sweep()

    assert store.jobs.read(job_id).status is JobStatus.QUEUED
    assert doorbell.rung == [job_id]


def test_sweeper_outlives_a_database_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """A sweep that finds no database is tried again; the thread does not end."""
    store = Store("postgresql+psycopg://nobody@127.0.0.1:1/none")
    sweeper = Sweeper(store, RecordingDoorbell(), Settings(sweep_s=0.01))
    sweeper.start()

    deadline = time.monotonic() + 10
    while caplog.messages.count("sweep failed: the database cannot be reached") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sweeper.stop()


def test_sweeper_sweeps_by_itself(store: Store, spec: JobSpec) -> None:
    """A started sweeper finds a job that comes later."""
    doorbell = RecordingDoorbell()
    sweeper = Sweeper(store, doorbell, Settings(sweep_s=0.01))
    sweeper.start()
    job_id = store.jobs.create(spec, max_queued=10).id

    deadline = time.monotonic() + 10
    while doorbell.rung != [job_id]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sweeper.stop()


def test_broker_that_refuses_is_noticed() -> None:
    """A broker that is not there is reported as unreachable, after the ring has returned."""
    doorbell = Doorbell("redis://127.0.0.1:1/0")
    doorbell.start()

    doorbell.ring("job_a", "cpu")

    deadline = time.monotonic() + 10
    while doorbell.state != "unreachable":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    doorbell.stop()


def test_ring_never_waits_for_the_broker(black_hole: socket.socket) -> None:
    """With a broker that accepts and never answers, a hundred rings return at once."""
    doorbell = Doorbell(f"redis://127.0.0.1:{black_hole.getsockname()[1]}/0")
    doorbell.start()
    start = time.monotonic()

    for _ in range(100):
        doorbell.ring("job_a", "auto")
        assert time.monotonic() - start < 1

    # Ends the connection under way, so that the doorbell's thread ends soon.
    black_hole.close()
    doorbell.stop()


def test_doorbell_without_a_broker_does_nothing() -> None:
    """Without a broker ringing is allowed and the state says so."""
    doorbell = Doorbell(None)
    doorbell.start()
    doorbell.ring("job_a", "auto")
    doorbell.stop()

    assert doorbell.state == "none"
