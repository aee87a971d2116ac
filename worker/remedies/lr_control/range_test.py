"""The learning rate range test: how large an lr does this problem bear?"""

import math

from pydantic import BaseModel

from contract.spec import RangeTest
from worker.remedies.lr_control.controller import Verdict, WatchingController

# As many first steps as Lightning and torch-lr-finder leave out: the loss falls there from where
# it started, whatever the lr.
_SKIPPED_STEPS = 10


class _State(BaseModel):
    before_last: float | None = None  #: smoothed loss of the step before the last one
    last: float | None = None  #: smoothed loss of the last step
    best: float | None = None  #: lowest smoothed loss
    steepest: float = 0.0  #: most negative slope of the smoothed loss, a step
    steepest_step: int | None = None  #: where; None if it never fell


class RangeTestLr(WatchingController[_State]):
    """lr rises exponentially from `start_lr` at step 1 to `end_lr` at the last step.

        lr = start_lr * (end_lr / start_lr)^((step-1) / (max_steps-1))
        s_1 = loss_1;  s_n = smoothing * loss_n + (1-smoothing) * s_{n-1}

    Training ends at the last step, or as soon as s > diverge_factor * min(s) or an update is
    refused. The suggestion comes from where s fell most steeply from step to step, and so most
    steeply in log lr, by central differences that leave out the first 10 steps. As s is a mean of
    losses that are (1-smoothing) / smoothing steps old (19 by default), it is the lr of so many
    steps before: torch-lr-finder and Lightning do without this, and suggest too much where a test
    has few steps a decade. An lr that learns fast for a few steps need not do so for thousands:
    take it for the upper end of what to try.

    Source:
        Smith, "Cyclical learning rates for training neural networks", WACV 2017, section 3.3; the
        smoothing and the end as in torch-lr-finder and Lightning.
    """

    def __init__(self, control: RangeTest, max_steps: int) -> None:
        super().__init__(_State())
        self._control = control
        self._max_steps = max_steps

    def lr(self, step: int) -> float:
        """The next to be tried."""
        start, end = self._control.start_lr, self._control.end_lr
        return float(start * (end / start) ** ((step - 1) / max(self._max_steps - 1, 1)))

    def observe_step(
        self,
        step: int,
        loss: float,
        grad_norm: float,  # noqa: ARG002 - if it is not finite, the update is refused
        *,
        updated: bool,
    ) -> Verdict | None:
        """Follow the smoothed loss, and end the test."""
        if not updated or self._diverges(step, loss):
            self._suggest(step, "diverged")
            return Verdict.STOP
        if step >= self._max_steps:
            self._suggest(step, "max_steps")
        return None

    def _diverges(self, step: int, loss: float) -> bool:
        state, weight = self._state, self._control.smoothing
        smoothed = loss if state.last is None else weight * loss + (1 - weight) * state.last
        best = smoothed if state.best is None else min(state.best, smoothed)
        if not math.isfinite(smoothed) or smoothed > self._control.diverge_factor * best:
            return True
        self._note_slope(step - 1, smoothed)
        state.before_last, state.last, state.best = state.last, smoothed, best
        return False

    def _note_slope(self, step: int, after: float) -> None:
        """The slope at `step`, known once the loss of the step after it is."""
        state = self._state
        if state.before_last is None or step <= _SKIPPED_STEPS:
            return
        slope = (after - state.before_last) / 2
        if slope < state.steepest:
            state.steepest, state.steepest_step = slope, step

    def _suggest(self, step: int, end: str) -> None:
        steepest = self._state.steepest_step
        if steepest is None:
            self._record(step, "lr_suggested", end=end)
        else:
            weight = self._control.smoothing
            lr = self.lr(max(steepest - round((1 - weight) / weight), 1))
            self._record(step, "lr_suggested", end=end, steepest_step=steepest, lr=lr)
