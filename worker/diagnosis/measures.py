"""The run in numbers, and the few facts that every rule asks for.

Shapes: S steps, E evaluations, L layers, T time steps.
"""

import math

import numpy as np
from numpy.typing import NDArray

from contract.diagnosis import Measures
from worker.diagnosis.history import History
from worker.training.records import FlowRecord

# Medians over this many records: one odd batch must not turn a verdict.
WINDOW = 5
# Below a tenth of doing nothing a loss is small, however often it multiplies: 1e-5 to 1e-4 is no
# divergence and no jump (ours).
_SMALL_SHARE = 0.1
# Float32 deltas cannot show less; nothing below is told apart from zero.
FLOW_FLOOR = float(np.finfo(np.float32).tiny)


def measure(history: History) -> Measures:
    """The measures of the run so far; what is unknown or not finite is None."""
    recent = history.flows[-WINDOW:]
    return Measures(
        reach=_whole(median([flow.reach_L[0] for flow in recent])),
        seq_len=history.task.seq_len,
        flow_ratio=median([flow_ratio(flow) for flow in recent]),
        grad_norm_median=median(history.grad_norm_S.tolist()),
        clip_fraction=clip_fraction(history),
        spectral_radius=_last_known([flow.spectral_radius for flow in history.flows]),
        saturation=median([flow.saturation for flow in recent]),
        dead_fraction=median([flow.dead_fraction for flow in recent]),
        update_fraction=median([flow.update_fraction for flow in recent]),
        nonfinite_count=count_nonfinite(history),
        loss_final=_finite(held_out_loss(history)),
        loss_baseline=history.task.baseline,
    )


def held_out_loss(history: History) -> float | None:
    """The latest held-out loss in the task's own units, maybe inf or nan; None before any."""
    if history.loss_final is not None:
        return history.loss_final
    return history.evals[-1].val_loss * history.task.unit_scale if history.evals else None


def has_learned(history: History) -> bool:
    """Whether the latest held-out loss is as low as learning the task means."""
    loss = held_out_loss(history)
    return loss is not None and loss <= history.task.learned_below


def val_losses(history: History) -> NDArray[np.float64]:
    """(E,) held-out losses in the task's own units; not finite ones as inf."""
    losses_E = np.array([record.val_loss for record in history.evals], dtype=np.float64)
    return np.where(np.isfinite(losses_E), losses_E, np.inf) * history.task.unit_scale


def small_loss(history: History) -> float:
    """The loss, in the task's own units, below which a rise means nothing."""
    return _SMALL_SHARE * history.task.baseline


def flow_ratio(flow: FlowRecord) -> float:
    """Gradient norm at the first time step over that at the last, layer 0.

    Layer 0 reads the input, so its gradient holds every path from the loss to that time step. Of a
    bidirectional layer the forward direction is read.
    """
    norms_T = flow.grad_norm_LT[0]
    return float(norms_T[0]) / max(float(norms_T[-1]), FLOW_FLOOR)


def clip_fraction(history: History) -> float | None:
    """Share of steps whose gradient was cut; None without clipping."""
    if history.spec.remedy.clipping is None or not len(history.clip_coef_S):
        return None
    # The coefficient of an uncut gradient is 1 but for the guard added to its norm.
    return float(np.mean(history.clip_coef_S < 1 - 1e-6))


def count_nonfinite(history: History) -> int:
    """Values of loss and gradient norm that were not finite."""
    return int(
        sum(np.sum(~np.isfinite(values)) for values in (history.loss_S, history.grad_norm_S))
    )


def median(values: "list[float | None] | list[float] | list[int]") -> float | None:
    """Median of the finite values; None if there are none, or if it is too large for a float."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return _finite(float(np.median(finite))) if finite else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _last_known(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None and math.isfinite(value)]
    return known[-1] if known else None
