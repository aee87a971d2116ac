"""How the learning rate moves: schedules over the steps, and cuts on a plateau of the loss."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from contract.spec.lr_control import Constant, Cosine, Exponential, LrControl, Plateau, Step

# A cut smaller than this is not made, as in torch's ReduceLROnPlateau.
_SMALLEST_CUT = 1e-8


class LrController(ABC):
    """The learning rate of one job over its training."""

    @abstractmethod
    def lr(self, step: int) -> float:
        """Learning rate of the update at `step`, counted from 1."""

    def observe(self, val_loss: float) -> None:  # noqa: B027 - a schedule has nothing to learn
        """Tell the held-out loss after an evaluation; only a plateau control acts on it."""


def make_lr_control(control: LrControl | None, lr: float, max_steps: int) -> LrController:
    """The controller of one job.

    Args:
        control: the remedy; None is a constant learning rate.
        lr: the optimizer's learning rate, which the control multiplies.
        max_steps: last step of the training, where the cosine ends.
    """
    match control:
        case None | Constant():
            return _ConstantLr(lr)
        case Step():
            return _StepLr(lr, control)
        case Exponential():
            return _ExponentialLr(lr, control)
        case Cosine():
            return _CosineLr(lr, control, max_steps)
        case Plateau():
            return _PlateauLr(lr, control)


@dataclass(frozen=True)
class _ConstantLr(LrController):
    full_lr: float

    def lr(self, step: int) -> float:  # noqa: ARG002 - the same at every step
        return self.full_lr


@dataclass(frozen=True)
class _StepLr(LrController):
    """lr * factor^floor((step-1)/every), as `torch.optim.lr_scheduler.StepLR`."""

    full_lr: float
    control: Step

    def lr(self, step: int) -> float:
        cuts = (step - 1) // self.control.every
        return float(self.full_lr * self.control.factor**cuts)


@dataclass(frozen=True)
class _ExponentialLr(LrController):
    """lr * decay^(step-1), as `torch.optim.lr_scheduler.ExponentialLR`."""

    full_lr: float
    control: Exponential

    def lr(self, step: int) -> float:
        return float(self.full_lr * self.control.decay ** (step - 1))


@dataclass(frozen=True)
class _CosineLr(LrController):
    """Linear from lr/W at step 1 to lr at step W, then half a cosine to m*lr at the last step.

        lr * (m + (1-m) * (1 + cos(pi*p)) / 2),  p = (step-S) / (max_steps-S),  S = max(W, 1)

    W is `warmup_steps`, m is `min_lr_factor`. Without a warm-up step 1 has the full lr. A warm-up
    that is as long as the training leaves no step for the cosine.

    Source:
        Loshchilov & Hutter, "SGDR: Stochastic gradient descent with warm restarts", ICLR 2017.
    """

    full_lr: float
    control: Cosine
    max_steps: int

    def lr(self, step: int) -> float:
        start = max(self.control.warmup_steps, 1)
        if step <= start:
            return self.full_lr * step / start
        progress = (step - start) / (self.max_steps - start)
        floor = self.control.min_lr_factor
        return self.full_lr * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)


class _PlateauLr(LrController):
    """lr * factor after more than `patience` evaluations in a row without improvement.

    An improvement is a finite loss below best * (1 - threshold). Equal to
    `torch.optim.lr_scheduler.ReduceLROnPlateau` with mode min, relative threshold and no cooldown.
    """

    def __init__(self, lr: float, control: Plateau) -> None:
        self._lr = lr
        self._control = control
        self._best = math.inf
        self._bad_evaluations = 0

    def lr(self, step: int) -> float:  # noqa: ARG002 - it follows the loss, not the step
        return self._lr

    def observe(self, val_loss: float) -> None:
        # -inf would pass as the best loss ever, and nothing could improve on it.
        if math.isfinite(val_loss) and val_loss < self._best * (1.0 - self._control.threshold):
            self._best = val_loss
            self._bad_evaluations = 0
        else:
            self._bad_evaluations += 1
        if self._bad_evaluations > self._control.patience:
            self._bad_evaluations = 0
            self._cut()

    def _cut(self) -> None:
        lower = max(self._lr * self._control.factor, self._control.min_lr)
        if self._lr - lower > _SMALLEST_CUT:
            self._lr = lower
