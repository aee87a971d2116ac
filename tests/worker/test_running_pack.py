from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event

import pytest
import torch
from sqlalchemy import text

from contract.artifacts import Artifacts
from contract.job import Job, JobErrorCode, JobStatus
from contract.store import Claim, Store
from tests.worker.training.tiny_tasks import TinyDataset, tiny_spec
from worker.drop_requests import DropRequests
from worker.member import Member
from worker.running_pack import RunningPack
from worker.training.loop import Trainer
from worker.training.pack import Pack

STEPS = 10


@dataclass(frozen=True)
class Bench:
    """A store, a folder for models, and the supervisor's end of a pipe to the pack."""

    store: Store
    folder: Path
    supervisor: Connection
    requests: DropRequests

    def claim(self, number: int) -> list[Claim]:
        """Create and claim jobs of one pack."""
        for seed in range(number):
            self.store.jobs.create(tiny_spec(seed=seed, max_steps=STEPS), max_queued=10)
        return self.store.leases.claim("w", "cpu", 60, number)

    def train(self, claims: list[Claim]) -> list[Job]:
        """Train to the end, everything being reported after each step; returns the jobs."""
        artifacts = Artifacts(str(self.folder))
        members = [
            Member(self.store, artifacts, claim, TinyDataset(claim.spec.training.seed))
            for claim in claims
        ]
        pack = Pack([(member.claim.spec, member.dataset) for member in members])
        trainer = Trainer(pack, torch.device("cpu"))
        RunningPack(self.store, members, trainer, flush_s=0).train(self.requests)
        return [self.store.jobs.read(claim.lease.job_id) for claim in claims]

    def ask_to_drop(self, job_id: str) -> None:
        """Send a request as the supervisor does, and let the listener hear it."""
        self.supervisor.send_bytes(job_id.encode())


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Iterator[Bench]:
    """All that a pack needs around it."""
    supervisor, ours = Pipe()
    yield Bench(store, tmp_path, supervisor, DropRequests(ours, lambda: None))
    supervisor.close()


def test_pack_trains_every_member_to_its_end(bench: Bench) -> None:
    """Each job succeeds with all its steps, its diagnosis and its model."""
    jobs = bench.train(bench.claim(3))

    assert [(job.status, job.progress.step) for job in jobs] == [(JobStatus.SUCCEEDED, STEPS)] * 3
    for job in jobs:
        diagnosis = bench.store.curves.read_diagnosis(job.id)
        assert diagnosis is not None
        assert diagnosis.final
        assert (bench.folder / "jobs" / job.id / "model.safetensors").exists()


def test_member_that_is_anothers_is_dropped(bench: Bench) -> None:
    """A job that another attempt owns gets nothing written, and the others train on."""
    claims = bench.claim(3)
    with bench.store.engine.begin() as connection:
        stolen = text("UPDATE jobs SET attempt = 2 WHERE id = :id")
        connection.execute(stolen, {"id": claims[1].lease.job_id})

    jobs = bench.train(claims)

    assert [job.status.value for job in jobs] == ["succeeded", "running", "succeeded"]
    assert len(bench.store.curves.read_curve(jobs[1].id, 1, None)) == 0


def test_members_failure_is_its_own(bench: Bench) -> None:
    """A job whose model cannot be stored fails as `internal`, and the others succeed."""
    claims = bench.claim(3)
    (bench.folder / "jobs").mkdir()
    (bench.folder / "jobs" / claims[1].lease.job_id).write_text("in the way")

    jobs = bench.train(claims)

    assert [job.status.value for job in jobs] == ["succeeded", "failed", "succeeded"]
    assert jobs[1].error is not None
    assert jobs[1].error.code is JobErrorCode.INTERNAL


def test_member_is_dropped_when_asked_for(bench: Bench) -> None:
    """A job that is to be let go of is written no more once that is answered."""
    claims = bench.claim(2)
    wanted = claims[0].lease.job_id
    bench.ask_to_drop(wanted)

    first, second = bench.train(claims)

    assert bench.supervisor.recv_bytes().decode() == wanted
    assert (first.status, second.status) == (JobStatus.RUNNING, JobStatus.SUCCEEDED)
    assert first.progress.step < STEPS


def test_request_for_a_job_that_is_not_there_is_answered(bench: Bench) -> None:
    """A job that has ended already, or could not be opened, is let go of at once."""
    claims = bench.claim(1)
    bench.ask_to_drop("job_that_ended")

    (job,) = bench.train(claims)

    assert bench.supervisor.recv_bytes() == b"job_that_ended"
    assert job.status is JobStatus.SUCCEEDED


def test_closed_pipe_is_noticed() -> None:
    """When the supervisor's end closes, what was to be done then is done."""
    supervisor, ours = Pipe()
    closed = Event()
    DropRequests(ours, closed.set)

    supervisor.close()

    assert closed.wait(10)
