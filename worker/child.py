"""The training process of one pack, forked from a server that has torch imported already."""

import os
import signal
import tempfile
from collections.abc import Sequence
from functools import cache, partial
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa
import torch

from contract.artifacts import DATASET_FILE, Artifacts
from contract.log import set_up_logging
from contract.settings import Settings
from contract.store import Claim, Store
from contract.tabular import read_table
from worker.datasets.registry import open_dataset
from worker.datasets.task import Dataset, DatasetInvalidError
from worker.drop_requests import DropRequests
from worker.failures import member_failures_written, pack_failures_written
from worker.member import Member
from worker.running_pack import RunningPack
from worker.training.loop import Trainer
from worker.training.pack import Pack


def run(channel: Connection, claims: Sequence[Claim], device: str, settings: Settings) -> None:
    """Train claimed jobs of one pack key, each to its end; what went wrong is written, typed.

    Args:
        channel: a pipe whose other end the supervisor holds; when it closes, the supervisor is
            gone and this process and all it started end at once.
        claims: the jobs and the leases that every write names.
        device: "cpu" or "cuda".
        settings: the worker's.
    """
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = DropRequests(channel, partial(os.killpg, 0, signal.SIGKILL))
    set_up_logging(settings.log_level)
    torch.set_num_threads(settings.threads)
    store = Store(settings.resolved_database_url())
    try:
        with pack_failures_written(store, [claim.lease for claim in claims]):
            members = _open_members(store, claims, settings)
            if members:
                jobs = [(member.claim.spec, member.dataset) for member in members]
                trainer = Trainer(
                    Pack(jobs, gpu_kernels=settings.gpu_kernels),
                    torch.device(device),
                    budget_bytes=settings.activation_bytes,
                    threads=settings.threads,
                )
                RunningPack(store, members, trainer, settings.flush_s).train(requests)
    finally:
        store.close()


def _open_members(store: Store, claims: Sequence[Claim], settings: Settings) -> list[Member]:
    """The jobs whose data can be opened; the others are ended as failed."""
    artifacts = Artifacts(settings.resolved_artifacts_url())
    # Cached: jobs of one pack have one upload in common.
    read_stored = cache(partial(_read_stored, artifacts))
    opened: list[tuple[Claim, Dataset]] = []
    for claim in claims:
        with member_failures_written(store, claim.lease):
            seed = claim.spec.training.seed
            opened.append((claim, open_dataset(claim.spec.dataset, seed, read_stored)))
    return [Member(store, artifacts, claim, dataset) for claim, dataset in opened]


def _read_stored(artifacts: Artifacts, dataset_id: str) -> pa.Table:
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / DATASET_FILE
        try:
            return read_table(artifacts.fetch(local, "datasets", dataset_id, DATASET_FILE))
        except FileNotFoundError:
            raise DatasetInvalidError("the dataset's file is no longer stored") from None
