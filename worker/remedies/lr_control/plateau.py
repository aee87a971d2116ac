"""Cuts of the learning rate when the held-out loss stands still."""

import math

from pydantic import BaseModel

from contract.spec import Plateau
from worker.remedies.lr_control.controller import WatchingController

# A cut smaller than this is not made, as in torch's ReduceLROnPlateau.
_SMALLEST_CUT = 1e-8


class _State(BaseModel):
    lr: float
    best: float | None = None  #: lowest held-out loss; None before the first
    bad_evaluations: int = 0  #: without improvement, in a row


class PlateauLr(WatchingController[_State]):
    """lr * factor after more than `patience` evaluations in a row without improvement.

    An improvement is a finite loss below best * (1 - threshold). Equal to
    `torch.optim.lr_scheduler.ReduceLROnPlateau` with mode min, relative threshold and no cooldown.
    """

    def __init__(self, lr: float, control: Plateau) -> None:
        super().__init__(_State(lr=lr))
        self._control = control

    def lr(self, step: int) -> float:  # noqa: ARG002 - it follows the loss, not the step
        """After all cuts so far."""
        return self._state.lr

    def observe_evaluation(self, step: int, val_loss: float) -> None:
        """Count what is no improvement, and cut."""
        state = self._state
        if self._is_improvement(val_loss):
            state.best = val_loss
            state.bad_evaluations = 0
        else:
            state.bad_evaluations += 1
        if state.bad_evaluations > self._control.patience:
            state.bad_evaluations = 0
            self._cut(step)

    def _is_improvement(self, val_loss: float) -> bool:
        # -inf would pass as the best loss ever, and nothing could improve on it.
        if not math.isfinite(val_loss):
            return False
        best = self._state.best
        return best is None or val_loss < best * (1.0 - self._control.threshold)

    def _cut(self, step: int) -> None:
        before = self._state.lr
        lower = max(before * self._control.factor, self._control.min_lr)
        if before - lower > _SMALLEST_CUT:
            self._state.lr = lower
            self._record(step, "lr_cut", lr_before=before, lr=lower)
