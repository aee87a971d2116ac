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
    val_losses,
)
from worker.diagnosis.progress import (
    BASELINE_BAND,
    has_failed,
    is_at_baseline,
    is_improving,
    steps_until_judged,
)
from worker.training.records import EndReason

# Lightning's lr_find gives up at 4 times the best loss, torch-lr-finder at 5.
DIVERGED_FACTOR = 4.0
_LOSS_WINDOW = 10
# Held-out loss this far above its best, relative to it, while training loss goes on falling (ours).
OVERFITTED_RISE = 0.1


def find_diverged(history: History) -> Finding | None:
    """Training ended in non-finite values, or its loss is far above where it began."""
    start = median(history.loss_S[:_LOSS_WINDOW].tolist())
    recent = median(history.loss_S[-_LOSS_WINDOW:].tolist())
    ended_nonfinite = history.end is EndReason.NONFINITE
    has_risen = (
        start is not None and recent is not None and recent > DIVERGED_FACTOR * max(start, 1e-12)
    )
    if not (ended_nonfinite or has_risen):
        return None
    nonfinite = count_nonfinite(history)
    step = _first_bad_step(history, start or 0.0)
    explanation = (
        f"Loss or gradient is not finite from step {step} on, so updates had to be refused."
        if ended_nonfinite
        else f"The loss is {recent:.2e}, over {DIVERGED_FACTOR:.0f} times its start {start:.2e}."
    )
    return make_finding(
        FindingCode.DIVERGED,
        history,
        first_step=step,
        evidence={"nonfinite_count": nonfinite, "loss_start": start, "loss_recent": recent},
        threshold={"nonfinite_count": 1, "loss_over_start": DIVERGED_FACTOR},
        explanation=explanation,
        critical=True,
    )


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
    rise = (np.median(losses_E[-2:]) - losses_E[best]) / max(losses_E[best], 1e-12)
    best_step = history.evals[best].step
    trained_on = (
        _loss_around(history.loss_S, best_step),
        _loss_around(history.loss_S, len(history.loss_S)),
    )
    is_small = losses_E[best] < 0.01 * history.task.baseline
    if rise <= OVERFITTED_RISE or is_small or not trained_on[1] < trained_on[0]:
        return None
    return make_finding(
        FindingCode.OVERFITTING,
        history,
        first_step=best_step,
        evidence={"loss_best": float(losses_E[best]), "rise": float(rise)},
        threshold={"rise": OVERFITTED_RISE},
        explanation=(
            f"Held-out loss was best at step {best_step} ({losses_E[best]:.4g}) and has risen by "
            f"{100 * rise:.0f} % since, while training loss fell."
        ),
        critical=not has_learned(history)
        and steps_until_judged(history) == 0
        and not is_improving(history),
    )


def _loss_around(loss_S: Floats, step: int) -> float:
    near = median(loss_S[max(0, step - _LOSS_WINDOW) : step].tolist())
    return float("nan") if near is None else near


def _first_bad_step(history: History, start: float) -> int:
    is_bad_S = ~np.isfinite(history.loss_S) | ~np.isfinite(history.grad_norm_S)
    is_bad_S |= history.loss_S > DIVERGED_FACTOR * max(start, 1e-12)
    bad = np.flatnonzero(is_bad_S)
    return int(bad[0]) + 1 if len(bad) else 1
