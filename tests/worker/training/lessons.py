"""Lessons of small packs on the CPU, in float64 unless asked for otherwise."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tests.worker.training.tiny_tasks import TinyDataset, tiny_spec
from worker.training.lesson import Exercise, Lesson, Teacher
from worker.training.losses import LossKind
from worker.training.model import stack_batches
from worker.training.pack import Pack

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Course:
    """Two jobs with a batch each."""

    pack: Pack
    start: Tensor
    """(K, P), twice what the jobs start from: further from linear."""
    exercise: Exercise

    def teach(
        self, segment_steps: int | None = None, *, measure: bool = False
    ) -> tuple[Lesson, Tensor]:
        """The lesson and its gradients (K, P)."""
        teacher = Teacher(
            self.pack.model(CPU, self.start.dtype), self.pack.layout, segment_steps=segment_steps
        )
        gradients_KP = torch.full_like(self.start, torch.nan)
        parameters = self.pack.layout.views(self.start)
        gradients = self.pack.layout.buffer(gradients_KP)
        lesson = teacher.learn(self.exercise, parameters, gradients, measure=measure)
        return lesson, gradients_KP

    def in_float32(self) -> "Course":
        """The same, for the kernels."""
        target, masks = self.exercise.target, self.exercise.masks
        if target.is_floating_point():
            target = target.float()
        x_KTBI = self.exercise.x_KTBI.float()
        exercise = Exercise(x_KTBI, target, [mask_KTBH.float() for mask_KTBH in masks])
        return Course(self.pack, self.start.float(), exercise)


def make_course(
    kind: str,
    loss: LossKind = "squared_error",
    *,
    target_steps: int = 1,
    seed: int = 0,
    is_masked: bool = False,
) -> Course:
    """Two layers of five units, four sequences of six steps; masks as of a dropout of a half."""
    datasets = [TinyDataset(job, loss, target_steps=target_steps) for job in (seed, seed + 1)]
    pack = Pack([(tiny_spec(kind, seed=dataset.seed), dataset) for dataset in datasets])
    batches = [dataset.batch(1, 4) for dataset in datasets]
    x_KTBI, target = stack_batches(batches, CPU, torch.float64)
    generator = torch.Generator().manual_seed(seed)
    kept_KTBH = torch.randint(2, (2, 6, 4, 5), generator=generator)
    masks = [2.0 * kept_KTBH] if is_masked else []
    return Course(pack, pack.initial_parameters(torch.float64) * 2, Exercise(x_KTBI, target, masks))
