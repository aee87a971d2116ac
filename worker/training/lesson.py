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
from worker.cells.flow import LayerFlow, join_in_time
from worker.training.losses import loss_gradient, loss_of_targets
from worker.training.model import Model, NetworkPass, read_out
from worker.training.parameters import NetworkParameters, ParameterLayout


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
        parameters_KP: Tensor,
        gradients_KP: Tensor,
        *,
        measure: bool = False,
    ) -> Lesson:
        """Fill the gradients of the mean loss.

        Args:
            exercise: the batch.
            parameters_KP: read only.
            gradients_KP: overwritten.
            measure: whether the flow is wanted. Its `grad_norm_KT` is of the loss at the last
                target alone; with several targets that is a backward pass of its own.
        """
        lesson = self._learn(exercise, parameters_KP, gradients_KP, measure=measure)
        if not measure or exercise.target.shape[1] == 1:
            return lesson
        scratch_KP = torch.empty_like(gradients_KP)
        of_last = self._learn(exercise.last_target_alone(), parameters_KP, scratch_KP, measure=True)
        flows = [
            replace(flow, grad_norm_KT=flow_of_last.grad_norm_KT)
            for flow, flow_of_last in zip(lesson.flows, of_last.flows, strict=True)
        ]
        return Lesson(lesson.loss_K, flows)

    def _learn(
        self, exercise: Exercise, parameters_KP: Tensor, gradients_KP: Tensor, *, measure: bool
    ) -> Lesson:
        parameters = self.layout.views(parameters_KP)
        parts = self._parts(exercise)
        starts = self._states_before(parts, parameters)
        is_whole = len(parts) == 1
        scratch_KP = gradients_KP if is_whole else torch.empty_like(gradients_KP)
        gradients = self.layout.views(scratch_KP)
        if not is_whole:
            gradients_KP.zero_()
        losses, flows, later = [], [], None
        for part, start in zip(reversed(parts), reversed(starts), strict=True):
            forward = self.model.forward(part.x_KTBI, parameters, start, part.masks)
            prediction_KSBO = read_out(forward.answers(part.target.shape[1]), parameters)
            losses.append(
                loss_of_targets(self.model.loss, prediction_KSBO, part.target).sum(dim=(1, 2))
            )
            grad_y_KSBO = loss_gradient(
                self.model.loss, prediction_KSBO, part.target, exercise.num_targets
            )
            grad_h_KSBH = _read_out_backward(forward, grad_y_KSBO, parameters, gradients)
            backwards = _layers_backward(
                forward, grad_h_KSBH, gradients, later, part.masks, measure=measure
            )
            if not is_whole:
                gradients_KP.add_(scratch_KP)
            flows.append([flow for back in backwards for flow in back.flows])
            later = [back.grad_initial for back in backwards]
        joined = [join_in_time(layer[::-1]) for layer in zip(*flows, strict=True)]
        return Lesson(torch.stack(losses).sum(dim=0) / exercise.num_targets, joined)

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
            forward = self.model.forward(part.x_KTBI, parameters, states[-1], part.masks)
            # Copies: views would keep alive everything that the pass has computed.
            states.append(
                [tuple(tensor.clone() for tensor in state) for state in forward.final_states]
            )
        return states


def _read_out_backward(
    forward: NetworkPass,
    grad_y_KSBO: Tensor,
    parameters: NetworkParameters,
    gradients: NetworkParameters,
) -> Tensor:
    """Fill the readout's gradients; returns the gradient by the states it reads, (K, S, B, H)."""
    answers_KSBH = forward.answers(grad_y_KSBO.shape[1])
    answers_KNH, grad_y_KNO = answers_KSBH.flatten(1, 2), grad_y_KSBO.flatten(1, 2)
    gradients.weight.copy_(torch.bmm(grad_y_KNO.transpose(1, 2), answers_KNH))
    gradients.bias.copy_(grad_y_KNO.sum(dim=1))
    return torch.bmm(grad_y_KNO, parameters.weight).view(answers_KSBH.shape)


def _layers_backward(
    forward: NetworkPass,
    grad_h_KSBH: Tensor,
    gradients: NetworkParameters,
    later: Sequence[State] | None,
    masks: Sequence[Tensor],
    *,
    measure: bool,
) -> list[LayerBackward]:
    """From the top layer down; `later` are the gradients by each layer's final state."""
    backwards: list[LayerBackward] = []
    for index in reversed(range(len(forward.layers))):
        if index < len(masks):
            grad_h_KSBH = grad_h_KSBH * masks[index]
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
