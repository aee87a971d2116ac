"""A trainer whose loss is multiplied by a million at one step.

Shapes: K jobs of a pack, P parameters of one job.
"""

from torch import Tensor

from worker.training.loop import Trainer

SPIKE_STEP = 201
"""So that the evaluation at step 200 is the last one before it."""

_FACTOR = 1e6


class SpikedTrainer(Trainer):
    """A factor on the loss is the same factor on every gradient, before any clipping."""

    def _update(self, loss_K: Tensor, lrs: list[float]) -> list[list[float]]:
        if self._step == SPIKE_STEP:
            self._gradients.flat_KP.mul_(_FACTOR)
        return super()._update(loss_K, lrs)
