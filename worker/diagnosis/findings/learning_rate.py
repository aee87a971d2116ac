"""Rules on the learning rate, read from the size of the updates and the jumps of the loss.

Shapes: S steps.
"""

import numpy as np

from contract.diagnosis import Finding, FindingCode
from worker.diagnosis.findings.finding import make_finding
from worker.diagnosis.history import Floats, History
from worker.diagnosis.measures import has_learned, median, small_loss
from worker.diagnosis.progress import is_improving, steps_until_judged

# "Somewhere around 1e-3" is healthy (cs231n, neural-networks-3); fifty times more is not.
HIGH_UPDATE_RATIO = 5e-2
LOW_UPDATE_RATIO = 1e-4
# A loss that still falls by this much in the last quarter of the run does more than creep (ours).
_FALLS_WELL = 0.1
# Lightning's SpikeDetection: a loss over 3 times the mean of the last 10 (rtol 2.0).
SPIKE_FACTOR = 3.0
_SPIKE_WINDOW = 10
_SPIKES_AT_LEAST = 3
SPIKES_PER_1000 = 3.0


def find_lr_too_high(history: History) -> Finding | None:
    """Updates are large for the parameters they change, or the loss jumps again and again."""
    ratio = median(_made_updates(history))
    spikes = _spikes_per_1000(history.loss_S * history.task.unit_scale, small_loss(history))
    if ratio is None or (ratio <= HIGH_UPDATE_RATIO and spikes < SPIKES_PER_1000):
        return None
    return make_finding(
        FindingCode.LR_TOO_HIGH,
        history,
        evidence={
            "update_ratio_median": ratio,
            "spikes_per_1000_steps": spikes,
            "lr": median(history.lr_S.tolist()),
        },
        threshold={
            "update_ratio_median": HIGH_UPDATE_RATIO,
            "spikes_per_1000_steps": SPIKES_PER_1000,
        },
        explanation=(
            f"The median update is {ratio:.1e} of the parameters (about 1e-3 is usual), and the "
            f"loss jumped to over {SPIKE_FACTOR:.0f} times its mean {spikes:.1f} times in 1,000 "
            "steps."
        ),
    )


def _made_updates(history: History) -> list[float]:
    """The ratios of the updates that were made; a refused one is 0 and tells nothing of the lr."""
    is_finite_S = np.isfinite(history.loss_S) & np.isfinite(history.grad_norm_S)
    ratios: list[float] = history.update_ratio_S[is_finite_S].tolist()
    return ratios


def find_lr_too_low(history: History) -> Finding | None:
    """Updates are so small that the parameters hardly move within the budget."""
    ratio = median(_made_updates(history))
    if ratio is None or ratio >= LOW_UPDATE_RATIO or has_learned(history):
        return None
    if steps_until_judged(history) > 0 or is_improving(history, share=_FALLS_WELL):
        return None
    return make_finding(
        FindingCode.LR_TOO_LOW,
        history,
        evidence={"update_ratio_median": ratio, "lr": median(history.lr_S.tolist())},
        threshold={"update_ratio_median": LOW_UPDATE_RATIO},
        explanation=f"The median update is {ratio:.1e} of the parameters; about 1e-3 is usual.",
        critical=True,
    )


def _spikes_per_1000(loss_S: Floats, floor: float) -> float:
    """How often, in 1,000 steps, the loss is above a floor and 3 times the mean of 10 before."""
    if len(loss_S) <= _SPIKE_WINDOW:
        return 0.0
    finite_S = np.nan_to_num(loss_S, nan=np.inf, posinf=np.inf)
    # A window with a non-finite loss has an infinite mean and so shows no spike after it.
    windows = np.lib.stride_tricks.sliding_window_view(finite_S[:-1], _SPIKE_WINDOW)
    means_S = windows.mean(axis=1)
    spikes = np.sum(finite_S[_SPIKE_WINDOW:] > np.maximum(SPIKE_FACTOR * means_S, floor))
    # Fewer than three are chance, however short the run.
    return float(1000 * spikes / len(loss_S)) if spikes >= _SPIKES_AT_LEAST else 0.0
