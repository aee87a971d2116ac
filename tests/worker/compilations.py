"""Trains after the warm-up and tells what was compiled only then; run by `test_warm_up.py`."""

import json
import sys
from collections.abc import Iterator

import pyarrow as pa
import torch
from numba.core.dispatcher import Dispatcher

from contract.spec import JobSpec
from worker.datasets.registry import open_dataset
from worker.training.loop import train
from worker.training.pack import Pack
from worker.warm_up import warm_up

CELLS = ("rnn", "gru", "lstm", "min_gru", "min_lstm", "lru")
GATED = ("rnn", "gru", "lstm")
SMALL = {"batch_size": 3, "max_steps": 1}
DEFAULTS: dict[str, object] = {
    "dataset": {"kind": "adding", "seq_len": 12},
    "cell": {"kind": "rnn"},
    "training": SMALL,
}


def _packs() -> Iterator[list[dict[str, object]]]:
    """Parts of the specs of each pack: cells, directions, skips, optimizers, one job or several."""
    for kind in CELLS:
        for two_ways in (False, True):
            yield [{"cell": {"kind": kind, "bidirectional": two_ways}}]
        yield [{"cell": {"kind": kind}}] * 2
    for kind in GATED:
        for skip in ("learned", "residual", "dilated"):
            cell = {"kind": kind, "num_layers": 2}
            yield [{"cell": cell, "remedy": {"skip": {"kind": skip}}}]
    for optimizer in ("adam", "sgd", "rmsprop", "adamw"):
        yield [{"training": {"optimizer": {"kind": optimizer}, **SMALL}}]
    yield [{"remedy": {"activation": {"kind": "relu"}}}]
    yield [{"dataset": {"kind": "temporal_order", "seq_len": 20}}]


def _train(parts: list[dict[str, object]]) -> None:
    """One step of a pack."""
    jobs = []
    for part in parts:
        spec = JobSpec.model_validate(DEFAULTS | part)
        jobs.append((spec, open_dataset(spec.dataset, spec.training.seed, _no_table)))
    for _ in train(Pack(jobs), torch.device("cpu")):
        pass


def _no_table(dataset_id: str) -> pa.Table:
    raise AssertionError(dataset_id)


def _compiled() -> dict[str, int]:
    """How many signatures each kernel is there for."""
    modules = [module for name, module in sys.modules.items() if name.startswith("worker.")]
    return {
        f"{kernel.py_func.__module__}.{kernel.py_func.__name__}": len(kernel.signatures)
        for module in modules
        for kernel in vars(module).values()
        if isinstance(kernel, Dispatcher)
    }


if __name__ == "__main__":
    warm_up()
    before = _compiled()
    for pack in _packs():
        _train(pack)
    grown = [name for name, count in _compiled().items() if count != before.get(name)]
    cuda: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    found = {"kernels": len(before), "grown": grown, "cuda": cuda}
    sys.stdout.write(json.dumps(found))
