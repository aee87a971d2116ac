"""The losses by hand, and their gradients against autograd."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from worker.training.losses import LossKind, correct_answers, loss_gradient, loss_of_targets


@pytest.mark.parametrize(
    ("kind", "prediction", "target", "expected"),
    [
        ("squared_error", [[3.0, 1.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, 2.0]], [2.0, 0.5]),
        ("cross_entropy", [[0.0, 0.0], [math.log(3), 0.0]], [1, 1], [math.log(2), math.log(4)]),
    ],
)
def test_losses_by_hand(
    kind: LossKind,
    prediction: list[list[float]],
    target: list[int] | list[list[float]],
    expected: list[float],
) -> None:
    """(2^2 + 0)/2 is 2; two equal logits cost ln 2, and odds of 3 to 1 against cost ln 4."""
    prediction_KSBO = torch.tensor([[prediction]], dtype=torch.float64)
    loss_KSB = loss_of_targets(kind, prediction_KSBO, torch.tensor([[target]]))

    assert loss_KSB.flatten().tolist() == pytest.approx(expected, rel=1e-15)


def _drawn(kind: LossKind, shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """A prediction and a target."""
    generator = torch.Generator().manual_seed(seed)
    prediction_KSBO = torch.randn(shape, generator=generator, dtype=torch.float64)
    if kind == "cross_entropy":
        return prediction_KSBO, torch.randint(shape[3], shape[:3], generator=generator)
    return prediction_KSBO, torch.randn(shape, generator=generator, dtype=torch.float64)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(["cross_entropy", "squared_error"]),
    shape=st.tuples(*[st.integers(1, 4)] * 4),
    num_targets=st.integers(1, 100),
    seed=st.integers(0, 1000),
)
def test_gradient_equals_autograd(
    kind: LossKind, shape: tuple[int, ...], num_targets: int, seed: int
) -> None:
    """The gradient is that of the sum of the losses divided by the number of targets."""
    prediction_KSBO, target = _drawn(kind, shape, seed)
    prediction_KSBO.requires_grad_()
    total = loss_of_targets(kind, prediction_KSBO, target).sum() / num_targets
    (expected,) = torch.autograd.grad(total, prediction_KSBO)

    ours = loss_gradient(kind, prediction_KSBO.detach(), target, num_targets)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("kind", ["cross_entropy", "squared_error"])
def test_no_targets_have_no_loss_and_no_gradient(kind: LossKind) -> None:
    """A part of the sequences after which nothing is asked has no loss to sum."""
    prediction_KSBO, target = _drawn(kind, (2, 0, 3, 4), seed=0)

    assert loss_of_targets(kind, prediction_KSBO, target).shape == (2, 0, 3)
    assert loss_gradient(kind, prediction_KSBO, target, 6).shape == (2, 0, 3, 4)


def test_answer_is_correct_if_the_target_is_most_likely() -> None:
    """Of three answers the first and the last name the likeliest class."""
    prediction_KSBO = torch.tensor([[[[1.0, 2.0]], [[1.0, 2.0]], [[2.0, 1.0]]]])
    target_KSB = torch.tensor([[[1], [0], [0]]])

    assert correct_answers(prediction_KSBO, target_KSB).flatten().tolist() == [True, False, True]
