"""Trains small networks for one step, so that what a first step loads is there already.

`python -m worker.warm_up` compiles every kernel, for an image that is to be started elsewhere.
"""

from typing import Any, Final

import pyarrow as pa
import torch

from contract.spec import JobSpec
from worker.datasets.registry import open_dataset
from worker.training.loop import train
from worker.training.pack import Pack

_COMMON: Final = (("rnn", "sgd"), ("gru", "rmsprop"), ("lstm", "adam"))
_LEARNED: Final = {"kind": "learned"}


def warm_up() -> None:
    """Take one step of each cell and optimizer on the CPU; touches no other device."""
    torch.set_num_threads(1)
    for cell, optimizer in _COMMON:
        _take_a_step(cell, optimizer)


def compile_every_kernel() -> None:
    """Warm up, and take a step with the skip whose kernels are large and seldom used."""
    warm_up()
    _take_a_step("rnn", "sgd", skip=_LEARNED)


def _take_a_step(cell: str, optimizer: str, **remedy: Any) -> None:  # noqa: ANN401 - any JSON
    spec = JobSpec.model_validate(
        {
            "dataset": {"kind": "adding", "seq_len": 2},
            "cell": {"kind": cell, "hidden_size": 1, "num_layers": 2},
            "remedy": {"clipping": {"kind": "norm"}, **remedy},
            "training": {"batch_size": 1, "max_steps": 1, "optimizer": {"kind": optimizer}},
        }
    )
    dataset = open_dataset(spec.dataset, spec.training.seed, _no_table)
    for _ in train(Pack([(spec, dataset)]), torch.device("cpu")):
        pass


def _no_table(dataset_id: str) -> pa.Table:
    """Nothing uploaded is read here."""
    raise AssertionError(dataset_id)


if __name__ == "__main__":
    compile_every_kernel()
