"""Trains small networks for one step, so that what a first step loads is there already."""

from typing import Final

import pyarrow as pa
import torch

from contract.spec import JobSpec
from worker.datasets.registry import open_dataset
from worker.training.loop import train
from worker.training.pack import Pack

#: Cell, skip and optimizer: every kernel for the CPU is in one of them.
_NETWORKS: Final = (
    ("rnn", None, "adam"),
    ("gru", None, "sgd"),
    ("lstm", None, "rmsprop"),
    ("rnn", {"kind": "learned"}, "adam"),
)


def warm_up() -> None:
    """Take one step of each network on the CPU; touches no other device."""
    torch.set_num_threads(1)
    for cell, skip, optimizer in _NETWORKS:
        spec = JobSpec.model_validate(
            {
                "dataset": {"kind": "adding", "seq_len": 2},
                "cell": {"kind": cell, "hidden_size": 1, "num_layers": 2},
                "remedy": {"clipping": {"kind": "norm"}, "skip": skip},
                "training": {"batch_size": 1, "max_steps": 1, "optimizer": {"kind": optimizer}},
            }
        )
        dataset = open_dataset(spec.dataset, spec.training.seed, _no_table)
        for _ in train(Pack([(spec, dataset)]), torch.device("cpu")):
            pass


def _no_table(dataset_id: str) -> pa.Table:
    """Nothing uploaded is read here."""
    raise AssertionError(dataset_id)
