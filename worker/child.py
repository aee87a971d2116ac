"""The training process of one pack, forked from a server that has torch imported already."""

import logging
import os
import signal
import tempfile
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa
import torch

from contract.artifacts import DATASET_FILE, Artifacts
from contract.errors import LeaseLostError
from contract.log import set_up_logging
from contract.settings import Settings
from contract.spec import JobSpec
from contract.store import Claim, Store
from contract.tabular import read_table
from worker.datasets.registry import open_dataset
from worker.datasets.task import Dataset, DatasetInvalidError
from worker.failures import failures_written
from worker.model_files import store_model
from worker.reporter import Reporter
from worker.training.loop import Trainer
from worker.training.pack import Pack

log = logging.getLogger(__name__)


def run(lifeline: Connection, claim: Claim, device: str, settings: Settings) -> None:
    """Train one claimed job to its end; what went wrong is written to the job, typed.

    Args:
        lifeline: read end of a pipe whose write end the supervisor holds; when it closes, the
            supervisor is gone and this process and all it started end at once.
        claim: the job and the lease that every write names.
        device: "cpu" or "cuda".
        settings: the worker's.
    """
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with, args=(lifeline,), daemon=True).start()
    set_up_logging(settings.log_level)
    torch.set_num_threads(settings.threads)
    store = Store(settings.resolved_database_url())
    try:
        with failures_written(store, claim.lease):
            _train(store, claim, device, settings)
    except LeaseLostError:
        log.warning("lease lost; training stopped", extra={"job_id": claim.lease.job_id})
    finally:
        store.close()


def _die_with(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    except EOFError:
        os.killpg(0, signal.SIGKILL)


def _train(store: Store, claim: Claim, device: str, settings: Settings) -> None:
    artifacts = Artifacts(settings.resolved_artifacts_url())
    dataset = _open(claim.spec, artifacts)
    reporter = Reporter(store, claim.lease, claim.spec, dataset.task, settings.flush_s)
    trainer = Trainer(Pack([(claim.spec, dataset)]), torch.device(device))
    for (step,) in trainer.steps():
        reporter.add(step)
        if step.end:
            store_model(artifacts, claim, trainer.parameters(0))
            reporter.finish(step.end)


def _open(spec: JobSpec, artifacts: Artifacts) -> Dataset:
    def read_stored(dataset_id: str) -> pa.Table:
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / DATASET_FILE
            try:
                return read_table(artifacts.fetch(local, "datasets", dataset_id, DATASET_FILE))
            except FileNotFoundError:
                raise DatasetInvalidError("the dataset's file is no longer stored") from None

    return open_dataset(spec.dataset, spec.training.seed, read_stored)
