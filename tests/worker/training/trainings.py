"""Trainings of packs on the CPU, down to their bits."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from contract.spec import JobSpec
from tests.worker.training.tiny_tasks import TinyDataset
from worker.training.loop import DEFAULT_BUDGET_BYTES, Trainer
from worker.training.losses import LossKind
from worker.training.pack import Pack
from worker.training.records import FlowRecord, JobStep

#: What a cell is and what its remedy is, by name.
CELLS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "rnn": ({"kind": "rnn"}, {}),
    "relu": ({"kind": "rnn"}, {"activation": {"kind": "relu"}}),
    "orthogonal": ({"kind": "rnn"}, {"init": {"kind": "orthogonal", "constraint": True}}),
    "gru": ({"kind": "gru"}, {}),
    "lstm": ({"kind": "lstm"}, {}),
    "min_gru": ({"kind": "min_gru"}, {}),
    "min_lstm": ({"kind": "min_lstm"}, {}),
    "lru": ({"kind": "lru"}, {}),
    "bidirectional gru": ({"kind": "gru", "bidirectional": True}, {}),
    "bidirectional min_gru": ({"kind": "min_gru", "bidirectional": True}, {}),
    "dropout": ({"kind": "lstm", "dropout": 0.3}, {}),
    "deep": ({"kind": "gru", "num_layers": 6}, {}),
    "skipping rnn": ({"kind": "rnn"}, {"skip": {"kind": "learned"}}),
    "skipping gru": ({"kind": "gru"}, {"skip": {"kind": "learned"}}),
    "skipping lstm": ({"kind": "lstm"}, {"skip": {"kind": "learned"}}),
    "residual": ({"kind": "rnn"}, {"skip": {"kind": "residual", "lag": 2}}),
    "dilated": ({"kind": "lstm"}, {"skip": {"kind": "dilated", "base": 5}}),
}
#: Those that tell classes; the others tell values.
CLASSIFYING = ("gru", "lru", "relu", "skipping lstm", "residual")
CLIPPINGS: tuple[dict[str, object] | None, ...] = (
    None,
    {"kind": "norm", "max_norm": 0.1},
    {"kind": "value", "clip_value": 0.01},
    {"kind": "agc"},
    {"kind": "auto", "percentile": 50},
    {"kind": "zclip", "warmup_steps": 3},
)
Job = tuple[JobSpec, TinyDataset]


@dataclass(frozen=True)
class Trained:
    """One job after training: two are equal if they agree in every bit."""

    steps: list[str]
    parameters: dict[str, bytes]
    curve: list[tuple[float, float, float]] = field(compare=False)
    """Loss and norms of gradient and parameters by step; all bits are in `steps`."""


def make_job(name: str, number: int, data: TinyDataset | None = None) -> Job:
    """A job of that cell; each number has its own seed, lr, decay, clipping and length.

    Seventeen hidden units, five sequences of 13 steps: no multiple of a vector register.
    """
    cell, remedy = CELLS[name]
    optimizer = {"kind": "adam", "lr": 0.01 * (number + 1), "weight_decay": 0.1 * (number % 2)}
    spec = JobSpec.model_validate(
        {
            "dataset": {"kind": "adding"},
            "cell": {"hidden_size": 17, "num_layers": 2, **cell},
            "remedy": {"clipping": CLIPPINGS[number % len(CLIPPINGS)], **remedy},
            "training": {
                "batch_size": 5,
                "seed": number,
                "max_steps": 4 + number,
                "eval_every": 3,
                "optimizer": optimizer,
            },
            "diagnostics": {"flow_every": 2},
        }
    )
    loss: LossKind = "cross_entropy" if name in CLASSIFYING else "squared_error"
    return spec, data or TinyDataset(number, loss, seq_len=13, target_steps=2)


def trained(
    jobs: Sequence[Job],
    *,
    dropped: int | None = None,
    budget_bytes: int = DEFAULT_BUDGET_BYTES,
) -> list[Trained]:
    """Train a pack in float32 to the end; job `dropped` is dropped after the second step."""
    trainer = Trainer(Pack(jobs), torch.device("cpu"), torch.float32, budget_bytes=budget_bytes)
    steps: list[list[JobStep]] = [[] for _ in jobs]
    for number, job_steps in enumerate(trainer.steps(), start=1):
        for step in job_steps:
            steps[step.index].append(step)
        if number == 2 and dropped is not None:
            trainer.drop(dropped)
    return [
        Trained(
            [_bits(step) for step in own],
            {name: part.numpy().tobytes() for name, part in trainer.parameters(job).items()},
            [(step.record.loss, step.record.grad_norm, step.record.param_norm) for step in own],
        )
        for job, own in enumerate(steps)
    ]


def _bits(step: JobStep) -> str:
    """All that a step told, to the last bit; nan equals nan."""
    return repr((step.record, step.evaluation, step.events, step.end, _flow_bits(step.flow)))


def _flow_bits(flow: FlowRecord | None) -> object:
    if flow is None:
        return None
    arrays = flow.grad_norm_LT.tobytes(), flow.weight_term_norm_LT.tobytes()
    shares = flow.saturation, flow.dead_fraction, flow.update_fraction
    return arrays, flow.reach_L, flow.spectral_radius, shares
