"""The jobs of a pack shared among threads.

Shapes: K jobs of a pack.

Kernels let other threads run, and a job's numbers are its own arithmetic, so its bits are the same
on any number of threads.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import torch

from worker.cells.flow import LayerFlow, join_jobs
from worker.training.lesson import Exercise, Lesson, Teacher
from worker.training.pack import Pack
from worker.training.parameters import NetworkParameters, ParameterBuffer


@dataclass(frozen=True)
class _Member:
    """One thread's jobs."""

    jobs: slice
    teacher: Teacher
    parameters: NetworkParameters
    gradients: ParameterBuffer


class Crew:
    """Teaches a pack: as a whole on one thread, or in parts on several.

    Args:
        pack: the jobs.
        parameters: of all of them; read at every lesson.
        gradients: overwritten by every lesson.
        make_teacher: of a part of the pack.
        threads: at most so many are used, and no more than there are jobs.
    """

    def __init__(
        self,
        pack: Pack,
        parameters: ParameterBuffer,
        gradients: ParameterBuffer,
        make_teacher: Callable[[Pack], Teacher],
        threads: int,
    ) -> None:
        count = min(threads, len(pack.specs))
        bounds = [len(pack.specs) * at // count for at in range(count + 1)]
        self._members = [
            _Member(
                slice(first, end),
                make_teacher(pack.part(first, end)),
                pack.layout.views(parameters.flat_KP[first:end]),
                pack.layout.buffer(gradients.flat_KP[first:end]),
            )
            for first, end in pairwise(bounds)
        ]
        self._pool = ThreadPoolExecutor(count) if count > 1 else None

    def learn(self, exercise: Exercise, *, measure: bool) -> Lesson:
        """Fill the gradients of all jobs; see `Teacher.learn`."""
        if self._pool is None:
            (member,) = self._members
            return _learn(member, exercise, measure=measure)
        parts = [
            self._pool.submit(_learn_part, member, exercise, measure) for member in self._members
        ]
        return _join([part.result() for part in parts])


def _learn(member: _Member, exercise: Exercise, *, measure: bool) -> Lesson:
    return member.teacher.learn(exercise, member.parameters, member.gradients, measure=measure)


def _learn_part(member: _Member, exercise: Exercise, measure: bool) -> Lesson:  # noqa: FBT001
    # Each thread has its own.
    with torch.inference_mode():
        part = Exercise(
            exercise.x_KTBI[member.jobs],
            exercise.target[member.jobs],
            [mask_KTBH[member.jobs] for mask_KTBH in exercise.masks],
        )
        return _learn(member, part, measure=measure)


def _join(lessons: Sequence[Lesson]) -> Lesson:
    """The lesson of all jobs from those of the threads."""
    layers: list[tuple[LayerFlow, ...]] = list(
        zip(*(lesson.flows for lesson in lessons), strict=True)
    )
    return Lesson(
        loss_K=torch.cat([lesson.loss_K for lesson in lessons]),
        flows=[join_jobs(flows) for flows in layers],
    )
