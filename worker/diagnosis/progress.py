"""Whether a run can be judged yet, and whether it still gets better."""

import math

import numpy as np

from worker.diagnosis.history import History
from worker.diagnosis.measures import has_learned, held_out_loss, val_losses
from worker.training.records import EndReason

# google-research/tuning_playbook judges trials after a part of their budget; a fifth is ours.
_JUDGED_AFTER_SHARE = 0.2
_JUDGED_AFTER_EVALUATIONS = 3
# torch's ReduceLROnPlateau looks for 1e-4; held-out sets of 2,048 sequences are noisier than that.
_IMPROVEMENT = 0.01
# Inside this band around the baseline nothing has been learned.
BASELINE_BAND = 0.1


def steps_until_judged(history: History) -> int:
    """Steps that are still missing before the run can be judged; 0 if it can be.

    A run that ended before so many steps stays unjudged, unless it ended in non-finite values.
    """
    if history.end is EndReason.NONFINITE:
        return 0
    training = history.spec.training
    if history.end is not None:
        missing = _JUDGED_AFTER_EVALUATIONS - len(history.evals)
        return max(0, missing) * training.eval_every
    needed = max(
        math.ceil(_JUDGED_AFTER_SHARE * training.max_steps),
        _JUDGED_AFTER_EVALUATIONS * training.eval_every,
    )
    return max(0, min(needed, training.max_steps) - len(history.loss_S))


def is_at_baseline(history: History) -> bool:
    """Whether the held-out loss is no better than doing nothing, within a band."""
    loss = held_out_loss(history)
    return loss is None or not loss < history.task.baseline * (1 - BASELINE_BAND)


def is_improving(history: History) -> bool:
    """Whether the best held-out loss fell by 1 % of itself in the last quarter of the checks."""
    losses_E = val_losses(history)
    quarter = max(1, len(losses_E) // 4)
    if len(losses_E) <= quarter:
        return False
    before, now = np.min(losses_E[:-quarter]), np.min(losses_E[-quarter:])
    return bool(now < before * (1 - _IMPROVEMENT))


def has_failed(history: History) -> bool:
    """Whether the run can be judged and has neither learned nor is on its way to it."""
    if has_learned(history) or steps_until_judged(history) > 0:
        return False
    return is_at_baseline(history) or not is_improving(history)
