"""Which changes answer which finding, most promising first for this task and cell."""

from collections.abc import Callable
from typing import Final

from contract.diagnosis import FindingCode
from worker.diagnosis.history import History
from worker.diagnosis.measures import median
from worker.diagnosis.prescriptions.change import Change
from worker.diagnosis.prescriptions.changes import (
    CLIP,
    IDENTITY_RELU,
    LEAKY_RELU,
    ORTHOGONAL,
    SMALLER,
    WARM_UP,
    WEIGHT_DECAY,
    chrono,
    gru,
    loosen_clipping,
    lstm_forget_bias,
    scale_lr,
)

# Up to these lengths a tanh network with an orthogonal start was measured to learn the task.
_ORTHOGONAL_UP_TO: Final = {"delayed_recall": 100, "subject_recall": 100, "temporal_order": 50}


def memory_changes(history: History) -> list[Change]:
    """What gives a network memory, best first for this kind of task.

    Which start or cell helps depends on the task (Henaff et al. 2016): an orthogonal start learns
    to recall but not to add over 100 steps, a GRU the other way round.
    """
    task, dataset = history.task, history.spec.dataset.kind
    if dataset == "adding":
        return [gru(), lstm_forget_bias(), IDENTITY_RELU]
    if dataset == "upload":
        return [lstm_forget_bias(), gru(), ORTHOGONAL]
    gated = [chrono("lstm", task.seq_len), chrono("gru", task.seq_len)]
    if task.seq_len <= _ORTHOGONAL_UP_TO[dataset]:
        return [ORTHOGONAL, *gated, IDENTITY_RELU]
    return [*gated, ORTHOGONAL, IDENTITY_RELU]


def _against_explosion(history: History) -> list[Change]:
    """Bound the gradient first; if it is bounded already, take away what makes it grow."""
    if history.spec.remedy.clipping is None:
        return [CLIP, ORTHOGONAL, scale_lr(0.1), lstm_forget_bias()]
    return [ORTHOGONAL, *memory_changes(history), scale_lr(0.1)]


def _against_dead_units(history: History) -> list[Change]:
    has_activation = history.spec.cell.kind == "rnn"
    return [*([LEAKY_RELU] if has_activation else []), scale_lr(0.1), ORTHOGONAL]


def _against_clipping(history: History) -> list[Change]:
    usual = median(history.grad_norm_S.tolist())
    return [*([loosen_clipping(usual)] if usual else []), scale_lr(10), scale_lr(0.1)]


CHANGES_FOR: Final[dict[FindingCode, Callable[[History], list[Change]]]] = {
    FindingCode.DIVERGED: _against_explosion,
    FindingCode.EXPLODING_GRADIENT: _against_explosion,
    FindingCode.VANISHING_GRADIENT: memory_changes,
    FindingCode.SATURATED: lambda _: [ORTHOGONAL, CLIP, scale_lr(0.1)],
    FindingCode.DEAD_UNITS: _against_dead_units,
    FindingCode.STAGNATED: lambda history: [*memory_changes(history), scale_lr(3)],
    FindingCode.OVER_CLIPPED: _against_clipping,
    FindingCode.LR_TOO_HIGH: lambda _: [scale_lr(0.1), WARM_UP],
    FindingCode.LR_TOO_LOW: lambda _: [scale_lr(10), scale_lr(100)],
    FindingCode.OVERFITTING: lambda _: [WEIGHT_DECAY, SMALLER],
}
