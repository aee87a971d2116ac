from collections.abc import Iterator
from typing import Any

import pytest
import torch
from numba.core import event

from contract.spec import JobSpec
from tests.worker.training.networks import pack_of
from worker.training.loop import train
from worker.warm_up import compile_every_kernel, warm_up

SIZES = {"batch_size": 3, "max_steps": 2}
DEEP = {"hidden_size": 4, "num_layers": 2}
COMMON: list[dict[str, Any]] = [
    *[{"cell": {"kind": kind, **DEEP, "bidirectional": True}} for kind in ("rnn", "gru", "lstm")],
    *[{"cell": {"kind": kind, **DEEP}} for kind in ("min_gru", "min_lstm", "lru")],
    *[{"dataset": {"kind": kind}} for kind in ("subject_recall", "copy_memory", "mackey_glass")],
    *[{"remedy": {"clipping": {"kind": kind}}} for kind in ("value", "agc", "auto", "zclip")],
    *[{"remedy": {"activation": {"kind": kind}}} for kind in ("relu", "leaky_relu")],
    *[
        {"training": {**SIZES, "optimizer": {"kind": kind, "weight_decay": 0.1}}}
        for kind in ("sgd", "rmsprop", "adam", "adamw")
    ],
    {"cell": {"kind": "rnn", **DEEP}, "remedy": {"skip": {"kind": "dilated"}}},
    {"remedy": {"skip": {"kind": "residual", "lag": 3}}},
]


def compilations(parts: dict[str, Any]) -> Iterator[str]:
    """The kernels that a job of this spec compiles or loads."""
    plain = {"dataset": {"kind": "adding", "seq_len": 9}, "cell": {"kind": "rnn"}}
    spec = JobSpec.model_validate(plain | {"training": SIZES} | parts)
    with event.install_recorder("numba:compile") as recorder:
        for _ in train(pack_of(spec), torch.device("cpu")):
            pass
    return (str(happened.data["dispatcher"]) for _, happened in recorder.buffer)


@pytest.mark.parametrize("parts", COMMON)
def test_warm_process_compiles_nothing(parts: dict[str, Any]) -> None:
    """After a warm-up a job finds every kernel that it needs in memory."""
    warm_up()

    assert list(compilations(parts)) == []


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_every_kernel_is_compiled(kind: str) -> None:
    """What an image is built with has the learned skip of each cell, too."""
    compile_every_kernel()

    parts = {"cell": {"kind": kind, **DEEP}, "remedy": {"skip": {"kind": "learned"}}}
    assert list(compilations(parts)) == []
