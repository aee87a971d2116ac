"""What a batch teaches, against torch's autograd."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worker.training.lessons import make_course
from tests.worker.training.torch_network import mean_loss, predict_by_torch, steps_by_torch
from worker.training.losses import LossKind

each_kind = pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["rnn", "gru", "lstm"]),
    loss=st.sampled_from(["cross_entropy", "squared_error"]),
    target_steps=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_loss_and_gradients_equal_autograd(
    kind: str, loss: LossKind, target_steps: int, seed: int
) -> None:
    """Loss and all gradients of stacked layers and readout are those of the mean over targets."""
    course = make_course(kind, loss, target_steps=target_steps, seed=seed)
    exercise = course.exercise
    lesson, gradients_KP = course.teach()
    for job in range(2):
        row_P = course.start[job].clone().requires_grad_()
        named = course.pack.layout.named(row_P)
        prediction_SBO = predict_by_torch(kind, named, exercise.x_KTBI[job], target_steps)
        expected = mean_loss(loss, prediction_SBO, exercise.target[job])
        (expected_P,) = torch.autograd.grad(expected, row_P)

        torch.testing.assert_close(lesson.loss_K[job], expected.detach(), rtol=1e-12, atol=0)
        torch.testing.assert_close(gradients_KP[job], expected_P, rtol=1e-10, atol=1e-14)


@each_kind
@pytest.mark.parametrize("target_steps", [1, 3])
def test_masks_multiply_what_the_next_layer_reads(kind: str, target_steps: int) -> None:
    """Between two layers each number is multiplied by its mask, and so is its gradient."""
    course = make_course(kind, target_steps=target_steps, is_masked=True)
    exercise = course.exercise
    lesson, gradients_KP = course.teach()
    for job in range(2):
        row_P = course.start[job].clone().requires_grad_()
        named = course.pack.layout.named(row_P)
        masks = [mask_KTBH[job] for mask_KTBH in exercise.masks]
        _, prediction_SBO = steps_by_torch(kind, named, exercise.x_KTBI[job], target_steps, masks)
        expected = mean_loss("squared_error", prediction_SBO, exercise.target[job])
        (expected_P,) = torch.autograd.grad(expected, row_P)

        torch.testing.assert_close(lesson.loss_K[job], expected.detach(), rtol=1e-12, atol=0)
        torch.testing.assert_close(gradients_KP[job], expected_P, rtol=1e-10, atol=1e-14)


@each_kind
@pytest.mark.parametrize("segment_steps", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("target_steps", [1, 4, 6])
def test_lesson_in_segments_is_that_of_the_whole(
    kind: str, segment_steps: int, target_steps: int
) -> None:
    """However time is cut, with or without answers in a segment, the lesson is the same."""
    course = make_course(kind, target_steps=target_steps, is_masked=True)
    whole, whole_KP = course.teach(measure=True)
    cut, cut_KP = course.teach(segment_steps, measure=True)

    torch.testing.assert_close(cut.loss_K, whole.loss_K, rtol=1e-12, atol=0)
    torch.testing.assert_close(cut_KP, whole_KP, rtol=1e-12, atol=1e-15)
    for ours, expected in zip(cut.flows, whole.flows, strict=True):
        torch.testing.assert_close(ours.grad_norm_KT, expected.grad_norm_KT, rtol=1e-12, atol=0)
        torch.testing.assert_close(
            ours.weight_term_norm_KT, expected.weight_term_norm_KT, rtol=1e-12, atol=1e-15
        )
        torch.testing.assert_close(ours.saturation_K, expected.saturation_K, rtol=1e-12, atol=0)


def test_flow_is_measured_only_when_asked_for() -> None:
    """Without measuring there is no flow; with it, one a layer, and no bit of the rest differs."""
    course = make_course("gru", target_steps=3)
    plain, plain_KP = course.teach()
    measured, measured_KP = course.teach(measure=True)

    assert plain.flows == []
    assert len(measured.flows) == 2
    assert torch.equal(measured.loss_K, plain.loss_K)
    assert torch.equal(measured_KP, plain_KP)


@each_kind
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("segment_steps", [None, 2])
def test_kernels_teach_what_the_references_do(
    kind: str, loss: LossKind, segment_steps: int | None
) -> None:
    """In float32 stacked layers with masks have the lesson of float64, but for rounding."""
    course = make_course(kind, loss, target_steps=3, is_masked=True)
    ours, ours_KP = course.in_float32().teach(segment_steps, measure=True)
    exact, exact_KP = course.teach(measure=True)

    torch.testing.assert_close(ours.loss_K, exact.loss_K, rtol=1e-5, atol=0)
    torch.testing.assert_close(ours_KP.double(), exact_KP, rtol=1e-4, atol=1e-6)
    for flow, expected in zip(ours.flows, exact.flows, strict=True):
        torch.testing.assert_close(flow.grad_norm_KT, expected.grad_norm_KT, rtol=1e-4, atol=1e-8)
        torch.testing.assert_close(
            flow.weight_term_norm_KT, expected.weight_term_norm_KT, rtol=1e-4, atol=1e-8
        )
        torch.testing.assert_close(flow.saturation_K, expected.saturation_K, rtol=1e-12, atol=0)
