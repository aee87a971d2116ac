"""A lesson's flow against what autograd keeps in a loop of torch's cells.

Shapes: K jobs, T time steps, S of them with a target.
"""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from tests.worker.training.lessons import Course, make_course
from tests.worker.training.torch_network import LayerSteps, mean_loss, steps_by_torch
from worker.training.losses import LossKind

each_kind = pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])


def _norm(loss: Tensor, tensors: Sequence[Tensor]) -> float:
    """Of the gradients of the loss by all the tensors together."""
    grads = torch.autograd.grad(loss, tensors, retain_graph=True, materialize_grads=True)
    return math.hypot(*(float(grad.norm()) for grad in grads))


def _by_torch(
    kind: str, loss: LossKind, course: Course, job: int
) -> tuple[list[LayerSteps], Tensor, Tensor]:
    """One job's network a step at a time, its loss, and the loss of its last target alone."""
    exercise = course.exercise
    named = course.pack.layout.named(course.start[job].clone().requires_grad_())
    masks = [mask_KTBH[job] for mask_KTBH in exercise.masks]
    target = exercise.target[job]
    layers, prediction_SBO = steps_by_torch(kind, named, exercise.x_KTBI[job], len(target), masks)
    whole = mean_loss(loss, prediction_SBO, target)
    return layers, whole, mean_loss(loss, prediction_SBO[-1:], target[-1:])


@each_kind
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("target_steps", [1, 4, 6])
def test_flow_equals_retained_gradients(kind: str, loss: LossKind, target_steps: int) -> None:
    """The norms at h_t (and c_t) are of the last target's loss, the weight terms of the whole."""
    course = make_course(kind, loss, target_steps=target_steps, is_masked=True)
    lesson, _ = course.teach(measure=True)
    for job in range(2):
        layers, whole, of_last = _by_torch(kind, loss, course, job)
        for flow, steps in zip(lesson.flows, layers, strict=True):
            norm_T = [_norm(of_last, state) for state in steps.states]
            term_norm_T = [_norm(whole, [weight]) for weight in steps.weights]

            assert flow.grad_norm_KT[job].tolist() == pytest.approx(norm_T, rel=1e-10)
            assert flow.weight_term_norm_KT[job].tolist() == pytest.approx(
                term_norm_T, rel=1e-10, abs=1e-15
            )


@each_kind
def test_last_target_is_not_the_whole(kind: str) -> None:
    """With several targets the norms differ from those of the whole loss, so it matters which."""
    course = make_course(kind, target_steps=4)
    lesson, _ = course.teach(measure=True)
    layers, whole, _ = _by_torch(kind, "squared_error", course, 0)
    norm_T = [_norm(whole, state) for state in layers[0].states]

    assert lesson.flows[0].grad_norm_KT[0].tolist() != pytest.approx(norm_T, rel=1e-2)
