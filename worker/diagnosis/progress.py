"""Whether a run can be judged yet, and whether it still gets better."""

import math

import numpy as np

from worker.diagnosis.history import Floats, History
from worker.diagnosis.measures import has_learned, held_out_loss, val_losses
from worker.training.records import EndReason

# google-research/tuning_playbook judges trials after a part of their budget; a fifth is ours.
_JUDGED_AFTER_SHARE = 0.2
_JUDGED_AFTER_EVALUATIONS = 3
# So many steps of an ended run tell as much as three evaluations at their usual distance.
_JUDGED_AFTER_STEPS = 300
# With fewer evaluations than this, progress is read from the training loss, cut in so many parts.
_CHECKS = 4
# torch's ReduceLROnPlateau looks for 1e-4; held-out sets of 2,048 sequences are noisier than that.
_IMPROVEMENT = 0.01
# Inside this band around the baseline nothing has been learned.
BASELINE_BAND = 0.1


def steps_until_judged(history: History) -> int:
    """Steps that are still missing before the run can be judged; 0 if it can be.

    A run that ended earlier stays unjudged, unless it ended in non-finite values.
    """
    if history.end is EndReason.NONFINITE:
        return 0
    training = history.spec.training
    if history.end is not None:
        evaluations = _JUDGED_AFTER_EVALUATIONS - len(history.evals)
        steps = _JUDGED_AFTER_STEPS - len(history.loss_S)
        return max(0, min(evaluations * training.eval_every, steps))
    needed = max(
        math.ceil(_JUDGED_AFTER_SHARE * training.max_steps),
        _JUDGED_AFTER_EVALUATIONS * training.eval_every,
    )
    return max(0, min(needed, training.max_steps) - len(history.loss_S))


def is_at_baseline(history: History) -> bool:
    """Whether the held-out loss is no better than doing nothing, within a band."""
    loss = held_out_loss(history)
    return loss is None or not loss < history.task.baseline * (1 - BASELINE_BAND)


def is_improving(history: History, share: float = _IMPROVEMENT) -> bool:
    """Whether the best loss fell by a share of itself, 1 % unless said, in the last quarter."""
    losses = _checks(history)
    quarter = max(1, len(losses) // 4)
    if len(losses) <= quarter:
        return False
    before, now = np.min(losses[:-quarter]), np.min(losses[-quarter:])
    return bool(now < before * (1 - share))


def has_failed(history: History) -> bool:
    """Whether the run can be judged and has neither learned nor is on its way to it.

    Near the baseline small gains are chance; a run still far above it may be coming down.
    """
    if has_learned(history) or steps_until_judged(history) > 0:
        return False
    if history.end is None and _is_above_baseline(history):
        return not is_improving(history)
    return is_at_baseline(history) or not is_improving(history)


def _is_above_baseline(history: History) -> bool:
    loss = held_out_loss(history)
    return loss is not None and loss > history.task.baseline * (1 + BASELINE_BAND)


def _checks(history: History) -> Floats:
    """The losses that progress is read from: held-out ones, or medians of the training loss."""
    if len(history.evals) >= _CHECKS or len(history.loss_S) < _CHECKS:
        return val_losses(history)
    parts = np.array_split(np.nan_to_num(history.loss_S, nan=np.inf, posinf=np.inf), _CHECKS)
    return np.array([np.median(part) for part in parts])
