"""Which changes answer which finding, most promising first for this task and cell."""

import math
import sys
from collections.abc import Callable
from typing import Final

from contract.diagnosis import FindingCode
from contract.spec import sequence_length
from worker.diagnosis.history import History
from worker.diagnosis.measures import median
from worker.diagnosis.prescriptions.change import Change
from worker.diagnosis.prescriptions.network_changes import (
    CLIP,
    DILATION,
    LEAKY_RELU,
    ORTHOGONAL,
    RESIDUAL_LAG,
    chrono,
    dilated,
    gru,
    has_recurrent_weights,
    identity_relu,
    loosen_clipping,
    lstm_forget_bias,
    mod_relu_kept_orthogonal,
    orthogonal_tanh,
    residual,
)
from worker.diagnosis.prescriptions.training_changes import (
    ADAM,
    LONGER,
    SMALLER,
    WARM_UP,
    WEIGHT_DECAY,
    scale_lr,
    stop_at,
)

# Up to these lengths a tanh network with an orthogonal start was measured to learn the task.
_ORTHOGONAL_UP_TO: Final = {
    "delayed_recall": 100,
    "subject_recall": 100,
    "temporal_order": 50,
    "sequential_digits": 64,
}
# Nothing says how far back these have to look.
_OF_UNKNOWN_LAG: Final = frozenset({"mackey_glass", "upload"})
# What a residual connection was measured to learn, over 12 to 400 steps.
_RESIDUAL_RECALLS: Final = frozenset({"delayed_recall", "subject_recall"})
# "Somewhere around 1e-3" (cs231n, neural-networks-3); lr is raised by four powers of ten at most.
_USUAL_UPDATE_RATIO: Final = 1e-3
_RAISED_AT_MOST: Final = 4


def memory_changes(history: History) -> list[Change]:
    """What gives a network memory, best first for this kind of task.

    Which start or cell helps depends on the task (Henaff et al. 2016): an orthogonal start learns
    to recall but not to add over 100 steps, a GRU the other way round. A budget smaller than the
    one a change was measured with is raised to it.
    """
    task, dataset = history.task, history.spec.dataset.kind
    if dataset == "adding":
        return [gru(steps=1_200), lstm_forget_bias(steps=3_000), identity_relu(steps=10_000)]
    if dataset in _OF_UNKNOWN_LAG:
        return [lstm_forget_bias(), gru(), orthogonal_tanh(history.spec)]
    if dataset == "copy_memory":
        # Over 30 blanks a tanh network that only starts orthogonal stays at the baseline.
        return [mod_relu_kept_orthogonal(steps=1_000), *_gated(task.seq_len, steps=2_800)]
    gated = _gated(task.seq_len, steps=800)
    orthogonal = orthogonal_tanh(history.spec, steps=500)
    if task.seq_len <= _ORTHOGONAL_UP_TO[dataset]:
        return [orthogonal, *gated, identity_relu()]
    return [*gated, orthogonal, identity_relu()]


def _against_vanishing(history: History) -> list[Change]:
    """What gives memory, second among it a shorter way for the gradient where that has helped.

    With a residual connection tanh, GRU and LSTM learn to recall, but not to add or to tell an
    order; dilated layers learn the order.
    """
    spec = history.spec
    seq_len = sequence_length(spec.dataset)
    first, *others = memory_changes(history)
    if spec.dataset.kind in _RESIDUAL_RECALLS and seq_len > RESIDUAL_LAG:
        return [first, residual(steps=500), *others]
    if spec.dataset.kind == "temporal_order" and seq_len > DILATION:
        return [first, dilated(steps=500), *others]
    return [first, *others]


def _gated(seq_len: int, steps: int) -> list[Change]:
    return [chrono(kind, seq_len, steps=steps) for kind in ("lstm", "gru")]


def _against_explosion(history: History) -> list[Change]:
    """Bound the gradient first; if it is bounded already, take away what makes it grow."""
    if history.spec.remedy.clipping is None:
        return [CLIP, ORTHOGONAL, scale_lr(0.1), lstm_forget_bias()]
    return [CLIP, ORTHOGONAL, *memory_changes(history), scale_lr(0.1)]


def _against_dead_units(history: History) -> list[Change]:
    has_activation = history.spec.cell.kind == "rnn"
    leaky = [LEAKY_RELU] if has_activation else []
    return [*leaky, scale_lr(0.1), orthogonal_tanh(history.spec)]


def _against_saturation(history: History) -> list[Change]:
    smaller_steps = [CLIP, scale_lr(0.1)]
    if has_recurrent_weights(history.spec):
        return [ORTHOGONAL, *smaller_steps]
    return [*smaller_steps, WARM_UP]


def _against_clipping(history: History) -> list[Change]:
    usual = median(history.grad_norm_S.tolist())
    other = ORTHOGONAL if has_recurrent_weights(history.spec) else scale_lr(0.1)
    return [*([loosen_clipping(usual)] if usual else []), ADAM, other]


def _against_low_lr(history: History) -> list[Change]:
    ratio = median(history.update_ratio_S.tolist()) or 0.0
    missing = math.log10(_USUAL_UPDATE_RATIO / max(ratio, sys.float_info.min))
    return [scale_lr(10.0 ** min(max(round(missing), 1), _RAISED_AT_MOST)), ADAM, LONGER]


def _against_overfitting(history: History) -> list[Change]:
    best = min(history.evals, key=lambda record: record.val_loss)
    return [WEIGHT_DECAY, SMALLER, stop_at(best.step)]


CHANGES_FOR: Final[dict[FindingCode, Callable[[History], list[Change]]]] = {
    FindingCode.DIVERGED: _against_explosion,
    FindingCode.EXPLODING_GRADIENT: _against_explosion,
    FindingCode.VANISHING_GRADIENT: _against_vanishing,
    FindingCode.SATURATED: _against_saturation,
    FindingCode.DEAD_UNITS: _against_dead_units,
    FindingCode.STAGNATED: lambda history: [*memory_changes(history), scale_lr(3), LONGER],
    FindingCode.OVER_CLIPPED: _against_clipping,
    FindingCode.LR_TOO_HIGH: lambda _: [scale_lr(0.1), WARM_UP, CLIP],
    FindingCode.LR_TOO_LOW: _against_low_lr,
    FindingCode.OVERFITTING: _against_overfitting,
}
