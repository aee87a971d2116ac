"""Trains a network of each cell for one step, so that what a first step loads is there already."""

import pyarrow as pa
import torch

from contract.spec import JobSpec
from worker.datasets.registry import open_dataset
from worker.training.loop import train
from worker.training.pack import Pack

_CELLS = ("rnn", "gru", "lstm")


def warm_up() -> None:
    """Take one step of each cell on the CPU; touches no other device."""
    torch.set_num_threads(1)
    for kind in _CELLS:
        spec = JobSpec.model_validate(
            {
                "dataset": {"kind": "adding", "seq_len": 2},
                "cell": {"kind": kind, "hidden_size": 1, "num_layers": 2},
                "remedy": {"clipping": {"kind": "norm"}},
                "training": {"batch_size": 1, "max_steps": 1},
            }
        )
        dataset = open_dataset(spec.dataset, spec.training.seed, _no_table)
        for _ in train(Pack([(spec, dataset)]), torch.device("cpu")):
            pass


def _no_table(dataset_id: str) -> pa.Table:
    """Nothing uploaded is read here."""
    raise AssertionError(dataset_id)
