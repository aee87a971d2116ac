"""The training process of one pack, forked from a server that has torch imported already."""

import logging
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa
import torch

from contract.artifacts import DATASET_FILE, Artifacts
from contract.errors import LeaseLostError
from contract.log import set_up_logging
from contract.settings import Settings
from contract.store import Claim, Store
from contract.tabular import read_table
from worker.datasets.registry import open_dataset
from worker.datasets.task import Dataset, DatasetInvalidError
from worker.drop_requests import DropRequests
from worker.failures import member_failures_written, pack_failures_written
from worker.member import Member
from worker.training.loop import Trainer
from worker.training.pack import Pack

log = logging.getLogger(__name__)


def run(channel: Connection, claims: Sequence[Claim], device: str, settings: Settings) -> None:
    """Train claimed jobs of one pack key, each to its end; what went wrong is written, typed.

    Args:
        channel: a pipe whose other end the supervisor holds; see `DropRequests`.
        claims: the jobs and the leases that every write names.
        device: "cpu" or "cuda".
        settings: the worker's.
    """
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = DropRequests(channel)
    set_up_logging(settings.log_level)
    torch.set_num_threads(settings.threads)
    store = Store(settings.resolved_database_url())
    try:
        with pack_failures_written(store, [claim.lease for claim in claims]):
            members = _open_members(store, claims, settings)
            _train(members, torch.device(device), requests, gpu_kernels=settings.gpu_kernels)
    except LeaseLostError:
        log.warning("lease lost; training stopped")
    finally:
        store.close()


def _train(
    members: Sequence[Member], device: torch.device, requests: DropRequests, *, gpu_kernels: bool
) -> None:
    if not members:
        return
    jobs = [(member.claim.spec, member.dataset) for member in members]
    trainer = Trainer(Pack(jobs, gpu_kernels=gpu_kernels), device)
    places = {member.claim.lease.job_id: index for index, member in enumerate(members)}
    for steps in trainer.steps():
        for step in steps:
            if not members[step.index].take(step, partial(trainer.parameters, step.index)):
                trainer.drop(step.index)
        for job_id in requests.take():
            if job_id in places:
                trainer.drop(places[job_id])
            requests.answer(job_id)


def _open_members(store: Store, claims: Sequence[Claim], settings: Settings) -> list[Member]:
    """The jobs whose data can be opened; the others are ended as failed."""
    artifacts = Artifacts(settings.resolved_artifacts_url())
    # Cached: jobs of one pack have one upload in common.
    read_stored = cache(partial(_read_stored, artifacts))
    opened = [(claim, _open(store, claim, read_stored)) for claim in claims]
    return [
        Member(store, artifacts, claim, dataset, settings.flush_s)
        for claim, dataset in opened
        if dataset
    ]


def _open(store: Store, claim: Claim, read_stored: Callable[[str], pa.Table]) -> Dataset | None:
    try:
        with member_failures_written(store, claim.lease):
            return open_dataset(claim.spec.dataset, claim.spec.training.seed, read_stored)
    except LeaseLostError:
        log.warning("lease lost", extra={"job_id": claim.lease.job_id})
    return None


def _read_stored(artifacts: Artifacts, dataset_id: str) -> pa.Table:
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / DATASET_FILE
        try:
            return read_table(artifacts.fetch(local, "datasets", dataset_id, DATASET_FILE))
        except FileNotFoundError:
            raise DatasetInvalidError("the dataset's file is no longer stored") from None
