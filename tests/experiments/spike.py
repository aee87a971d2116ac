"""A trainer whose loss is multiplied by a million at one step.

Shapes: K jobs of a pack, P parameters of one job.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import torch

from worker.training.lesson import Exercise, Lesson, Teacher
from worker.training.loop import Trainer
from worker.training.pack import Pack
from worker.training.parameters import NetworkParameters, ParameterBuffer

SPIKE_STEP = 201
"""So that the evaluation at step 200 is the last one before it."""

_FACTOR = 1e6


@dataclass(frozen=True)
class _SpikedTeacher(Teacher):
    """A factor on the loss is the same factor on every gradient, before any clipping."""

    steps: Iterator[int] = field(default_factory=lambda: count(1))

    def learn(
        self,
        exercise: Exercise,
        parameters: NetworkParameters,
        gradients: ParameterBuffer,
        *,
        measure: bool = False,
    ) -> Lesson:
        lesson = super().learn(exercise, parameters, gradients, measure=measure)
        if next(self.steps) == SPIKE_STEP:
            gradients.flat_KP.mul_(_FACTOR)
        return lesson


class SpikedTrainer(Trainer):
    """Trains as any other, but for that step."""

    def __init__(
        self, pack: Pack, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(pack, device, dtype)
        self._teacher = _SpikedTeacher(self._teacher.model, self._teacher.layout)
