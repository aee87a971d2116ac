"""Learning rates that depend on the step alone."""

import math
from dataclasses import dataclass

from contract.spec import Cosine, Exponential, OneCycle, Step
from worker.remedies.lr_control.controller import LrController


@dataclass(frozen=True)
class ConstantLr(LrController):
    """The same lr at every step."""

    full_lr: float

    def lr(self, step: int) -> float:  # noqa: ARG002 - the same at every step
        """The one there is."""
        return self.full_lr


@dataclass(frozen=True)
class StepLr(LrController):
    """lr * factor^floor((step-1)/every), as `torch.optim.lr_scheduler.StepLR`."""

    full_lr: float
    control: Step

    def lr(self, step: int) -> float:
        """After all cuts so far."""
        cuts = (step - 1) // self.control.every
        return float(self.full_lr * self.control.factor**cuts)


@dataclass(frozen=True)
class ExponentialLr(LrController):
    """lr * decay^(step-1), as `torch.optim.lr_scheduler.ExponentialLR`."""

    full_lr: float
    control: Exponential

    def lr(self, step: int) -> float:
        """Decayed by all steps before."""
        return float(self.full_lr * self.control.decay ** (step - 1))


@dataclass(frozen=True)
class CosineLr(LrController):
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
        """On the line up or on the cosine down."""
        start = max(self.control.warmup_steps, 1)
        if step <= start:
            return self.full_lr * step / start
        floor = self.control.min_lr_factor * self.full_lr
        return _half_cosine(self.full_lr, floor, (step - start) / (self.max_steps - start))


@dataclass(frozen=True)
class OneCycleLr(LrController):
    """Half a cosine from lr/div_factor up to lr, half a cosine down to lr/(div*final_div).

    Equal to `torch.optim.lr_scheduler.OneCycleLR` over `max_steps` with its two phases of cosines.
    lr is its highest at step pct_start * max_steps, which need not be whole. Momentum is not cycled
    with it: only lr moves here, whatever the optimizer.

    Source:
        Smith & Topin, "Super-convergence: very fast training of neural networks using large
        learning rates", 2019.
    """

    full_lr: float
    control: OneCycle
    max_steps: int

    def lr(self, step: int) -> float:
        """On the way up or down."""
        start_lr = self.full_lr / self.control.div_factor
        peak = self.control.pct_start * self.max_steps
        if step <= peak and peak > 1:
            return _half_cosine(start_lr, self.full_lr, (step - 1) / (peak - 1))
        end_lr = start_lr / self.control.final_div_factor
        return _half_cosine(self.full_lr, end_lr, (step - peak) / (self.max_steps - peak))


def _half_cosine(start: float, end: float, progress: float) -> float:
    """From `start` at progress 0 to `end` at progress 1."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * progress))
