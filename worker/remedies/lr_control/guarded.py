"""Going back to an earlier state when the loss spikes."""

import math
from statistics import median

from pydantic import BaseModel

from contract.spec import Guarded
from worker.remedies.lr_control.controller import Verdict, WatchingController

KEPT_SNAPSHOTS = 2
"""States to keep for a rollback. The newest may hold the very update that did harm: an update at
step n shows in the loss of step n+1 only. The older one is at least a window away from it."""

# Losses before the first is judged. Few, as networks that explode do it in their first steps, and
# those who learn do not leave their first losses behind fivefold.
_WARMUP = 5


class _Snapshot(BaseModel):
    step: int
    losses: tuple[float, ...]  #: what had been remembered then


class _State(BaseModel):
    lr: float
    losses: tuple[float, ...] = ()  #: of the last `window` steps that were no spikes
    snapshots: tuple[_Snapshot, ...] = ()  #: oldest first
    quiet_steps: int = 0  #: since the last snapshot or rollback
    rollbacks: int = 0
    exhausted: bool = False


class GuardedLr(WatchingController[_State]):
    """On a spike: back to the older of two snapshots, lr * factor, at most `max_rollbacks` times.

    A spike is a loss above `spike_factor` times the median of the last `window` losses, once there
    are 5 or a window of them, or an update that was refused because loss or gradient was not
    finite. A snapshot is taken before the first step and every `window` steps without a spike, so
    a rollback goes back by one to two windows (PaLM: about 100 steps). With the state the median
    goes back too. lr stays cut. After the last rollback one event says so, and training goes on
    unguarded.

    The defaults, 5 times the median of 50: on the adding and recall tasks the loss of single
    batches, once it was near 0, came up to 3 times the median; where a network was thrown off, the
    loss jumped to 6 times (LSTM, lr 0.003) and 11 times (tanh RNN, lr 0.01) at once. After
    1,000 steps the latter has the loss of doing nothing, 2.1; with one rollback, 0.8.

    Source:
        Chowdhery et al., "PaLM: scaling language modeling with pathways", arXiv 2204.02311,
        section 5.1 (restart about 100 steps before the spike, other batches); the smaller lr: Zhang
        et al., "OPT: open pre-trained transformer language models", arXiv 2205.01068.
    """

    def __init__(self, lr: float, control: Guarded) -> None:
        super().__init__(_State(lr=lr))
        self._control = control

    def lr(self, step: int) -> float:  # noqa: ARG002 - it follows the loss, not the step
        """After all rollbacks so far."""
        return self._state.lr

    def observe_step(
        self,
        step: int,
        loss: float,
        grad_norm: float,  # noqa: ARG002 - if it is not finite, the update is refused
        *,
        updated: bool,
    ) -> Verdict | None:
        """Remember the loss, or ask for a rollback."""
        state = self._state
        if state.exhausted:
            return None
        if updated and not self._is_spike(loss):
            state.losses = (*state.losses, loss)[-self._control.window :]
            state.quiet_steps += 1
            return None
        if state.rollbacks == self._control.max_rollbacks:
            state.exhausted = True
            detail = self._measured(loss)
            self._record(step, "rollbacks_exhausted", count=state.rollbacks, **detail)
            return None
        self._roll_back(step, loss)
        return Verdict.ROLL_BACK

    def wants_snapshot(self, step: int) -> bool:
        """At step 0, then after every window of steps without a spike."""
        state = self._state
        if state.exhausted or (step > 0 and state.quiet_steps < self._control.window):
            return False
        snapshot = _Snapshot(step=step, losses=state.losses)
        state.snapshots = (*state.snapshots, snapshot)[-KEPT_SNAPSHOTS:]
        state.quiet_steps = 0
        return True

    def _is_spike(self, loss: float) -> bool:
        reference = self._reference()
        return not math.isfinite(loss) or (
            reference is not None and loss > self._control.spike_factor * reference
        )

    def _reference(self) -> float | None:
        """The running median; None while it warms up."""
        losses = self._state.losses
        return median(losses) if len(losses) >= min(_WARMUP, self._control.window) else None

    def _roll_back(self, step: int, loss: float) -> None:
        state, target = self._state, self._state.snapshots[0]
        detail = {"to_step": target.step, **self._measured(loss)}
        state.lr *= self._control.factor
        state.rollbacks += 1
        self._record(step, "rollback", lr=state.lr, count=state.rollbacks, **detail)
        state.losses, state.snapshots, state.quiet_steps = target.losses, (target,), 0

    def _measured(self, loss: float) -> dict[str, float]:
        """The loss and the median it is compared with, where they are numbers."""
        measured = {"loss": loss, "reference": self._reference()}
        return {
            name: value
            for name, value in measured.items()
            if value is not None and math.isfinite(value)
        }
