"""Rules on how the loss went: diverged, stagnated, overfitting.

Shapes: S steps, E evaluations.
"""

import numpy as np

from contract.diagnosis import Finding, FindingCode
from worker.diagnosis.findings.finding import make_finding
from worker.diagnosis.history import Floats, History
from worker.diagnosis.measures import (
    WINDOW,
    count_nonfinite,
    has_learned,
    held_out_loss,
    median,
    small_loss,
    val_losses,
)
from worker.diagnosis.progress import (
    BASELINE_BAND,
    has_failed,
    is_at_baseline,
    is_improving,
    steps_until_judged,
)
from worker.training.records import EndReason, EvalRecord

# Lightning's lr_find gives up at 4 times the best loss, torch-lr-finder at 5.
DIVERGED_FACTOR = 4.0
# So many evaluations in a row must be that bad (ours).
_RELAPSED_CHECKS = 3
_LOSS_WINDOW = 10
# Held-out loss this far above its best, relative to it and to all that had been learned until
# then, while training loss goes on falling (ours).
OVERFITTED_RISE = 0.1


def find_diverged(history: History) -> Finding | None:
    """A value that is not finite, or a loss far above where it began or where it had been.

    Critical if training ended or goes on without a finite value, or if the loss has risen; values
    that were refused and got over are a warning.
    """
    scale = history.task.unit_scale
    start = median((history.loss_S[:_LOSS_WINDOW] * scale).tolist())
    recent = median((history.loss_S[-_LOSS_WINDOW:] * scale).tolist())
    limit = DIVERGED_FACTOR * max(start or 0.0, small_loss(history))
    is_lost = history.end is EndReason.NONFINITE or (len(history.loss_S) > 0 and recent is None)
    has_risen = start is not None and recent is not None and recent > limit
    best = None if is_lost or has_risen else _best_before_relapse(history)
    nonfinite = count_nonfinite(history)
    if not (nonfinite or is_lost or has_risen or best):
        return None
    step = best.step if best else _first_bad_step(history, limit)
    return make_finding(
        FindingCode.DIVERGED,
        history,
        first_step=step,
        evidence={
            "nonfinite_count": nonfinite,
            "loss_start": start,
            "loss_recent": recent,
            "loss_best": best.val_loss * scale if best else None,
        },
        threshold={
            "nonfinite_count": 1,
            "loss_over_start": DIVERGED_FACTOR,
            "loss_over_best": DIVERGED_FACTOR,
        },
        explanation=_explain_diverged(history, step, best, start if has_risen else None),
        critical=is_lost or has_risen or best is not None,
    )


def _explain_diverged(
    history: History, step: int, best: EvalRecord | None, start: float | None
) -> str:
    scale = history.task.unit_scale
    if best:
        return (
            f"Held-out loss was {best.val_loss * scale:.4g} at step {step}; the last "
            f"{_RELAPSED_CHECKS} evaluations are over {DIVERGED_FACTOR:.0f} times that, and so is "
            "the training loss."
        )
    if start is not None and history.end is not EndReason.NONFINITE:
        recent = median((history.loss_S[-_LOSS_WINDOW:] * scale).tolist())
        return f"The loss is {recent:.2e}, over {DIVERGED_FACTOR:.0f} times its start {start:.2e}."
    return (
        f"Loss or gradient was not finite {count_nonfinite(history)} times, first at step {step}, "
        "so updates had to be refused."
    )


def _best_before_relapse(history: History) -> EvalRecord | None:
    """The best evaluation, if the last ones and the training loss are far above it; else None.

    Training loss must have risen too: where it has not, the network learns by heart instead.
    """
    losses_E = val_losses(history)
    if len(losses_E) <= _RELAPSED_CHECKS:
        return None
    best = int(np.argmin(losses_E))
    floor = small_loss(history)
    if not (losses_E[-_RELAPSED_CHECKS:] > DIVERGED_FACTOR * max(losses_E[best], floor)).all():
        return None
    scale = history.task.unit_scale
    before = _loss_around(history.loss_S, history.evals[best].step) * scale
    now = _loss_around(history.loss_S, len(history.loss_S)) * scale
    return history.evals[best] if now > DIVERGED_FACTOR * max(before, floor) else None


def find_stagnated(history: History) -> Finding | None:
    """No better than doing nothing, or no longer moving, before the task is learned."""
    if not has_failed(history) or not history.evals:
        return None
    loss, baseline = held_out_loss(history), history.task.baseline
    shown = "not finite" if loss is None or not np.isfinite(loss) else f"{loss:.4g}"
    state = (
        "no better than"
        if is_at_baseline(history)
        else "no longer falling, but not learned either; compare"
    )
    return make_finding(
        FindingCode.STAGNATED,
        history,
        evidence={"loss_final": loss, "loss_baseline": baseline},
        threshold={
            "loss_over_baseline": 1 - BASELINE_BAND,
            "learned_below": history.task.learned_below,
        },
        explanation=(
            f"Held-out loss {shown} after {len(history.loss_S)} steps is {state} doing nothing, "
            f"{baseline:.4g}."
        ),
    )


def find_overfitting(history: History) -> Finding | None:
    """Held-out loss rises while training loss goes on falling."""
    losses_E = val_losses(history)
    if len(losses_E) <= WINDOW or not np.isfinite(losses_E).all():
        return None
    best = int(np.argmin(losses_E))
    # A rise is nothing beside a large loss, and nothing beside a long way that was learned.
    scale = max(losses_E[best], losses_E[0] - losses_E[best], 1e-12)
    rise = (np.median(losses_E[-2:]) - losses_E[best]) / scale
    best_step = history.evals[best].step
    trained_on = (
        _loss_around(history.loss_S, best_step),
        _loss_around(history.loss_S, len(history.loss_S)),
    )
    if rise <= OVERFITTED_RISE or not trained_on[1] < trained_on[0]:
        return None
    return make_finding(
        FindingCode.OVERFITTING,
        history,
        first_step=best_step,
        evidence={"loss_best": float(losses_E[best]), "rise": float(rise)},
        threshold={"rise": OVERFITTED_RISE},
        explanation=(
            f"Held-out loss was best at step {best_step} ({losses_E[best]:.4g}) and has risen to "
            f"{np.median(losses_E[-2:]):.4g} since, while training loss fell."
        ),
        critical=not has_learned(history)
        and steps_until_judged(history) == 0
        and not is_improving(history),
    )


def _loss_around(loss_S: Floats, step: int) -> float:
    near = median(loss_S[max(0, step - _LOSS_WINDOW) : step].tolist())
    return float("nan") if near is None else near


def _first_bad_step(history: History, limit: float) -> int:
    is_bad_S = ~np.isfinite(history.loss_S) | ~np.isfinite(history.grad_norm_S)
    is_bad_S |= history.loss_S * history.task.unit_scale > limit
    bad = np.flatnonzero(is_bad_S)
    return int(bad[0]) + 1 if len(bad) else 1
