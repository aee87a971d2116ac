"""The readout by its kernel in float32 and by tensors in float64: loss and all gradients.

Shapes: K jobs of a pack, S targets of a sequence, B sequences, H features, O outputs.
"""

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.worker.training.layouts import layout_of
from worker.training.losses import LossKind
from worker.training.readout import learn_readout

LOSSES: tuple[LossKind, ...] = ("squared_error", "cross_entropy")
drawn_shapes = st.tuples(
    st.integers(1, 8),  # K
    st.integers(0, 5),  # S
    st.integers(1, 9),  # B
    st.sampled_from([1, 3, 5, 8, 33]),  # H
    st.sampled_from([1, 2, 3, 10, 17]),  # O
)


@dataclass(frozen=True)
class Question:
    """States, a readout and what is asked for, in float32."""

    loss: LossKind
    h_KSBH: Tensor
    target: Tensor
    parameters_KP: Tensor
    num_targets: int

    def learn(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Loss, its gradient by h, and the gradients of the readout (K, O*H + O)."""
        target = self.target.to(dtype) if self.target.is_floating_point() else self.target
        outputs = self.parameters_KP.shape[1] // (self.h_KSBH.shape[3] + 1)
        layout = layout_of("rnn", hidden_size=self.h_KSBH.shape[3], outputs=outputs)
        readout = slice(layout.num_parameters - self.parameters_KP.shape[1], None)
        shape = len(self.parameters_KP), layout.num_parameters
        parameters_KP = torch.zeros(shape, dtype=dtype)
        parameters_KP[:, readout] = self.parameters_KP
        gradients_KP = torch.full(shape, torch.nan, dtype=dtype)
        loss_K, grad_h_KSBH = learn_readout(
            self.loss,
            self.h_KSBH.to(dtype),
            target,
            layout.views(parameters_KP),
            layout.views(gradients_KP),
            self.num_targets,
        )
        return loss_K, grad_h_KSBH, gradients_KP[:, readout]


def draw_question(
    loss: LossKind, shape: tuple[int, int, int, int, int], seed: int, scale: float = 1.0
) -> Question:
    """All normal; half of a batch's targets."""
    jobs, steps, sequences, features, outputs = shape
    generator = torch.Generator().manual_seed(seed)
    asked = jobs, steps, sequences
    values = torch.randn(*asked, outputs, generator=generator)
    classes = torch.randint(outputs, asked, generator=generator)
    return Question(
        loss,
        torch.randn(*asked, features, generator=generator),
        values if loss == "squared_error" else classes,
        scale * torch.randn(jobs, outputs * (features + 1), generator=generator),
        num_targets=max(2 * steps * sequences, 1),
    )


@given(
    loss=st.sampled_from(LOSSES),
    shape=drawn_shapes,
    seed=st.integers(0, 1000),
    scale=st.sampled_from([1.0, 30.0]),
)
def test_kernel_is_the_tensor_form(
    loss: LossKind, shape: tuple[int, int, int, int, int], seed: int, scale: float
) -> None:
    """Either loss, of a part of a batch with any number of targets, with small and large logits."""
    question = draw_question(loss, shape, seed, scale)
    ours, expected = question.learn(torch.float32), question.learn(torch.float64)

    for actual, exact in zip(ours, expected, strict=True):
        largest = float(exact.abs().max()) if exact.numel() else 0.0
        torch.testing.assert_close(actual.double(), exact, rtol=2e-5, atol=1e-5 * largest)


@pytest.mark.parametrize("loss", LOSSES)
def test_parts_add_up_to_the_whole(loss: LossKind) -> None:
    """Over the same number of targets, losses and gradients of two halves are those of all."""
    whole = draw_question(loss, (2, 4, 3, 5, 3), seed=1)
    halves = [
        Question(loss, whole.h_KSBH[:, part], whole.target[:, part], whole.parameters_KP, 24)
        for part in (slice(2), slice(2, 4))
    ]
    (loss_K, grad_h_KSBH, grads_KP), (first, second) = (
        whole.learn(torch.float32),
        (half.learn(torch.float32) for half in halves),
    )

    torch.testing.assert_close(first[0] + second[0], loss_K)
    torch.testing.assert_close(torch.cat([first[1], second[1]], dim=1), grad_h_KSBH)
    torch.testing.assert_close(first[2] + second[2], grads_KP)


def test_squared_error_by_hand() -> None:
    """With y = 2h + 1, h = 3 and 4 asked for: loss 9, dL/dy = 6, so 18 by the weight."""
    question = Question(
        "squared_error",
        torch.full((1, 1, 1, 1), 3.0),
        torch.full((1, 1, 1, 1), 4.0),
        torch.tensor([[2.0, 1.0]]),
        num_targets=1,
    )
    loss_K, grad_h_KSBH, grads_KP = question.learn(torch.float32)

    assert loss_K.tolist() == [9.0]
    assert grad_h_KSBH.item() == 12.0
    assert grads_KP.tolist() == [[18.0, 6.0]]


def test_cross_entropy_by_hand() -> None:
    """Four classes that are equally likely cost ln 4; the right one's logit has slope 1/4 - 1."""
    question = Question(
        "cross_entropy",
        torch.ones(1, 1, 1, 1),
        torch.tensor([[[2]]]),
        torch.zeros(1, 8),
        num_targets=1,
    )
    loss_K, grad_h_KSBH, grads_KP = question.learn(torch.float32)

    assert loss_K.item() == pytest.approx(math.log(4), rel=1e-6)
    assert grad_h_KSBH.item() == 0
    assert grads_KP[0, 4:].tolist() == pytest.approx([0.25, 0.25, -0.75, 0.25])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("odd_one", [torch.nan, torch.inf])
def test_state_that_is_no_number_makes_its_jobs_loss_none(loss: LossKind, odd_one: float) -> None:
    """Loss and gradients of that job are not finite; the other's are what they were."""
    question = draw_question(loss, (2, 2, 3, 4, 3), seed=2)
    sound = question.learn(torch.float32)
    question.h_KSBH[0, 1, 2, 3] = odd_one
    broken = question.learn(torch.float32)

    assert not broken[0][0].isfinite()
    assert not broken[2][0].isfinite().all()
    for before, after in zip(sound, broken, strict=True):
        assert torch.equal(before[1], after[1])


@pytest.mark.parametrize("loss", LOSSES)
def test_job_has_the_same_bits_alone(loss: LossKind) -> None:
    """Neither loss nor gradients of a job depend on who else is in the pack."""
    pack = draw_question(loss, (5, 3, 7, 9, 5), seed=3)
    together = pack.learn(torch.float32)
    for job in range(5):
        rows = slice(job, job + 1)
        alone = Question(
            loss, pack.h_KSBH[rows], pack.target[rows], pack.parameters_KP[rows], pack.num_targets
        ).learn(torch.float32)

        for ours, own in zip(together, alone, strict=True):
            assert torch.equal(ours[rows], own)
