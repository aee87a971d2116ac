"""A trainer whose loss is multiplied by a million at one step."""

from torch import Tensor

from worker.cells.cell import LayerBackward
from worker.training.loop import Trainer
from worker.training.model import NetworkPass

SPIKE_STEP = 201
"""So that the evaluation at step 200 is the last one before it."""

_FACTOR = 1e6


class SpikedTrainer(Trainer):
    """A factor on the loss is the same factor on every gradient, before any clipping."""

    def _backward(self, forward: NetworkPass, target: Tensor) -> list[LayerBackward]:
        backwards = super()._backward(forward, target)
        if self._step == SPIKE_STEP:
            self._gradients_KP.mul_(_FACTOR)
        return backwards
