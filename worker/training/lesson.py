"""What one batch teaches: the loss, its gradients, and how they came back through time.

Shapes: K jobs of a pack, P parameters of one job, T time steps, S of them with a target,
B sequences, I inputs, H hidden units, O outputs.

Where keeping all states would take too much memory, time is cut into segments: a first pass keeps
the states between them alone, and each segment is run again just before its backward pass. The
gradients are the same, for a third more arithmetic.

Source:
    Chen et al., "Training deep nets with sublinear memory cost", arXiv 1604.06174; over time:
    Gruslys et al., "Memory-efficient backpropagation through time", NIPS 2016.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from worker.cells.cell import LayerBackward, State
from worker.cells.flow import LayerFlow, join_in_time, sum_in_order
from worker.training.model import Model, NetworkPass
from worker.training.parameters import NetworkParameters, ParameterBuffer, ParameterLayout
from worker.training.readout import learn_readout


@dataclass(frozen=True)
class Lesson:
    """The outcome of one batch for all jobs of a pack; the gradients lie in the buffer given."""

    loss_K: Tensor
    """Mean over batch and targets: nats, or squared error."""
    flows: list[LayerFlow]
    """Layer by layer from the input up, a bidirectional one's forward direction before the other;
    empty if they were not asked for."""


@dataclass(frozen=True)
class Exercise:
    """One batch of all jobs of a pack."""

    x_KTBI: Tensor
    target: Tensor
    """(K, S, B) int64 classes, or (K, S, B, O) values, after each of the last S time steps."""
    masks: Sequence[Tensor] = ()
    """See `Model.forward`."""

    @property
    def num_targets(self) -> int:
        """Of one job: S * B."""
        return self.target.shape[1] * self.target.shape[2]

    def last_target_alone(self) -> "Exercise":
        """The same batch, asked at the last time step only."""
        return replace(self, target=self.target[:, -1:])

    def part(self, first: int, end: int) -> "Exercise":
        """The time steps from `first` until before `end`, with the targets after them."""
        unanswered = self.x_KTBI.shape[1] - self.target.shape[1]
        answered = slice(max(0, first - unanswered), max(0, end - unanswered))
        masks = [mask_KTBH[:, first:end] for mask_KTBH in self.masks]
        return Exercise(self.x_KTBI[:, first:end], self.target[:, answered], masks)


@dataclass(frozen=True)
class _Segment:
    """Consecutive time steps of an exercise."""

    exercise: Exercise
    initial: Sequence[State] | None
    """Each layer's state before them; None is 0."""
    num_targets: int
    """Of the whole exercise: what the sum of the losses is divided by."""


@dataclass(frozen=True)
class Teacher:
    """Turns batches into gradients.

    Args:
        model: the network.
        layout: of its parameters.
        segment_steps: time steps of a segment; None keeps the whole sequence, and so does a
            bidirectional network: its other direction comes to a segment from the end.
    """

    model: Model
    layout: ParameterLayout
    segment_steps: int | None = None

    def learn(
        self,
        exercise: Exercise,
        parameters: NetworkParameters,
        gradients: ParameterBuffer,
        *,
        measure: bool = False,
    ) -> Lesson:
        """Fill the gradients of the mean loss.

        Args:
            exercise: the batch.
            parameters: read only.
            gradients: overwritten.
            measure: whether the flow is wanted. Its `grad_norm_KT` is of the loss at the last
                target alone; with several targets that is a backward pass of its own.
        """
        lesson = self._learn(exercise, parameters, gradients, measure=measure)
        if not measure or exercise.target.shape[1] == 1:
            return lesson
        alone, scratch = exercise.last_target_alone(), self._like(gradients)
        of_last = self._learn(alone, parameters, scratch, measure=True)
        flows = [
            replace(flow, grad_norm_KT=flow_of_last.grad_norm_KT)
            for flow, flow_of_last in zip(lesson.flows, of_last.flows, strict=True)
        ]
        return Lesson(lesson.loss_K, flows)

    def _like(self, gradients: ParameterBuffer) -> ParameterBuffer:
        return self.layout.buffer(torch.empty_like(gradients.flat_KP))

    def _learn(
        self,
        exercise: Exercise,
        parameters: NetworkParameters,
        gradients: ParameterBuffer,
        *,
        measure: bool,
    ) -> Lesson:
        """Like `learn`, the flow's `grad_norm_KT` being of the whole loss."""
        lessons: list[Lesson] = []
        later: list[State] | None = None
        for segment in reversed(self._segments(exercise, parameters)):
            # The last segment overwrites the gradients, the earlier ones add theirs.
            part = self._like(gradients) if lessons else gradients
            lesson, later = self._learn_segment(
                segment, parameters, part.network, later, measure=measure
            )
            if lessons:
                gradients.flat_KP.add_(part.flat_KP)
            lessons.append(lesson)
        return _join(lessons[::-1])

    def _segments(self, exercise: Exercise, parameters: NetworkParameters) -> list[_Segment]:
        parts = self._parts(exercise)
        starts = self._states_before(parts, parameters)
        return [
            _Segment(part, start, exercise.num_targets)
            for part, start in zip(parts, starts, strict=True)
        ]

    def _parts(self, exercise: Exercise) -> list[Exercise]:
        time_steps = exercise.x_KTBI.shape[1]
        is_kept_whole = self.layout.spec.cell.bidirectional
        if is_kept_whole or self.segment_steps is None or self.segment_steps >= time_steps:
            return [exercise]
        bounds = [*range(0, time_steps, self.segment_steps), time_steps]
        return [exercise.part(first, end) for first, end in pairwise(bounds)]

    def _states_before(
        self, parts: Sequence[Exercise], parameters: NetworkParameters
    ) -> list[list[State] | None]:
        """Each layer's state before each part; None before the first."""
        states: list[list[State] | None] = [None]
        for part in parts[:-1]:
            states.append(self._states_after(part, parameters, states[-1]))
        return states

    def _states_after(
        self, part: Exercise, parameters: NetworkParameters, before: Sequence[State] | None
    ) -> list[State]:
        forward = self.model.forward(part.x_KTBI, parameters, before, part.masks)
        # Copies: views would keep alive everything that the pass has computed.
        return [tuple(tensor.clone() for tensor in state) for state in forward.final_states]

    def _learn_segment(
        self,
        segment: _Segment,
        parameters: NetworkParameters,
        gradients: NetworkParameters,
        later: Sequence[State] | None,
        *,
        measure: bool,
    ) -> tuple[Lesson, list[State]]:
        """Fill the gradients that go through one segment.

        Args:
            segment: the time steps.
            parameters: read only.
            gradients: overwritten.
            later: gradients by each layer's state after the segment; None is 0.
            measure: whether the flow is wanted.

        Returns:
            The segment's share of the lesson, and the gradients by the states before it.
        """
        part = segment.exercise
        forward = self.model.forward(part.x_KTBI, parameters, segment.initial, part.masks)
        loss_K, grad_h_KSBH = learn_readout(
            self.model.loss,
            forward.answers(part.target.shape[1]),
            part.target,
            parameters,
            gradients,
            segment.num_targets,
        )
        layers = _layers_backward(forward, grad_h_KSBH, gradients, later, measure=measure)
        flows = [flow for layer in layers for flow in layer.flows]
        return Lesson(loss_K, flows), [layer.grad_initial for layer in layers]


def _join(lessons: Sequence[Lesson]) -> Lesson:
    """The lesson of a sequence from those of its segments."""
    if len(lessons) == 1:
        return lessons[0]
    layers = zip(*(lesson.flows for lesson in lessons), strict=True)
    return Lesson(
        loss_K=sum_in_order([lesson.loss_K for lesson in lessons]),
        flows=[join_in_time(flows) for flows in layers],
    )


def _layers_backward(
    forward: NetworkPass,
    grad_h_KSBH: Tensor,
    gradients: NetworkParameters,
    later: Sequence[State] | None,
    *,
    measure: bool,
) -> list[LayerBackward]:
    """From the top layer down; `later` are the gradients by each layer's final state."""
    backwards: list[LayerBackward] = []
    for index in reversed(range(len(forward.layers))):
        if index < len(forward.masks):
            grad_h_KSBH = grad_h_KSBH * forward.masks[index]
        back = forward.layers[index].backward(
            grad_h_KSBH,
            gradients.layers[index],
            grad_final=later[index] if later else None,
            needs_grad_x=index > 0,
            measure=measure,
        )
        backwards.append(back)
        if back.grad_x_KTBI is not None:
            grad_h_KSBH = back.grad_x_KTBI
    return backwards[::-1]
