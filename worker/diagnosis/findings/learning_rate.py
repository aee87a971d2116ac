"""Rules on the learning rate, read from the size of the updates and the jumps of the loss.

Shapes: S steps.
"""

import numpy as np

from contract.diagnosis import Finding, FindingCode
from worker.diagnosis.findings.finding import make_finding
from worker.diagnosis.history import Floats, History
from worker.diagnosis.measures import median
from worker.diagnosis.progress import has_failed, steps_until_judged

# "Somewhere around 1e-3" is healthy (cs231n, neural-networks-3); fifty times more is not.
HIGH_UPDATE_RATIO = 5e-2
LOW_UPDATE_RATIO = 1e-4
# Lightning's SpikeDetection: a loss over 3 times the mean of the last 10 (rtol 2.0).
SPIKE_FACTOR = 3.0
_SPIKE_WINDOW = 10
_SPIKES_AT_LEAST = 3
SPIKES_PER_1000 = 3.0


def find_lr_too_high(history: History) -> Finding | None:
    """Updates are large for the parameters they change, or the loss jumps again and again."""
    ratio = median(history.update_ratio_S.tolist())
    spikes = _spikes_per_1000(history.loss_S)
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


def find_lr_too_low(history: History) -> Finding | None:
    """Updates are so small that the parameters hardly move within the budget."""
    ratio = median(history.update_ratio_S.tolist())
    if ratio is None or ratio >= LOW_UPDATE_RATIO or steps_until_judged(history) > 0:
        return None
    if not has_failed(history):
        return None
    return make_finding(
        FindingCode.LR_TOO_LOW,
        history,
        evidence={"update_ratio_median": ratio, "lr": median(history.lr_S.tolist())},
        threshold={"update_ratio_median": LOW_UPDATE_RATIO},
        explanation=(f"The median update is {ratio:.1e} of the parameters; about 1e-3 is usual."),
    )


def _spikes_per_1000(loss_S: Floats) -> float:
    """How often the loss exceeded 3 times the mean of the 10 steps before, per 1,000 steps."""
    if len(loss_S) <= _SPIKE_WINDOW:
        return 0.0
    finite_S = np.nan_to_num(loss_S, nan=np.inf, posinf=np.inf)
    # A window with a non-finite loss has an infinite mean and so shows no spike after it.
    windows = np.lib.stride_tricks.sliding_window_view(finite_S[:-1], _SPIKE_WINDOW)
    means_S = windows.mean(axis=1)
    spikes = np.sum(finite_S[_SPIKE_WINDOW:] > SPIKE_FACTOR * means_S)
    # Fewer than three are chance, however short the run.
    return float(1000 * spikes / len(loss_S)) if spikes >= _SPIKES_AT_LEAST else 0.0
