"""A trainer whose loss is multiplied by a million at one step.

Shapes: K jobs of a pack, P parameters of one job.
"""

from worker.training.lesson import Exercise, Lesson
from worker.training.loop import Trainer

SPIKE_STEP = 201
"""So that the evaluation at step 200 is the last one before it."""

_FACTOR = 1e6


class SpikedTrainer(Trainer):
    """Trains as any other, but for that step.

    A factor on the loss is the same factor on every gradient, before any clipping.
    """

    def _learn(self, exercise: Exercise, *, measure: bool) -> Lesson:
        lesson = super()._learn(exercise, measure=measure)
        if self._step == SPIKE_STEP:
            self._gradients.flat_KP.mul_(_FACTOR)
        return lesson
