"""Clipping against torch's, its invariants, and broken gradients.

Shapes: K jobs, P parameters.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from contract.spec.clipping import Clipping, NormClipping, ValueClipping
from worker.remedies.clipping import clip

limits = st.floats(1e-6, 1e6)
norm_clippings = st.builds(NormClipping, kind=st.just("norm"), max_norm=limits)
value_clippings = st.builds(ValueClipping, kind=st.just("value"), clip_value=limits)
rows = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8)

NORM_ONE = NormClipping(kind="norm", max_norm=1.0)
VALUE_ONE = ValueClipping(kind="value", clip_value=1.0)


def _row(values: list[float], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor([values], dtype=dtype)


@settings(deadline=None)
@given(row=rows, clipping=norm_clippings)
def test_norm_clipping_equals_torch(row: list[float], clipping: NormClipping) -> None:
    """A gradient clipped by norm, and the norm told, are those of clip_grad_norm_."""
    gradients_KP = _row(row)
    parameter = nn.Parameter(torch.zeros_like(gradients_KP))
    parameter.grad = gradients_KP.clone()
    expected_norm = nn.utils.clip_grad_norm_([parameter], clipping.max_norm)
    norm_K, _ = clip(gradients_KP, [clipping])
    torch.testing.assert_close(gradients_KP, parameter.grad, rtol=1e-12, atol=0)
    torch.testing.assert_close(norm_K[0], expected_norm, rtol=1e-12, atol=0)


@settings(deadline=None)
@given(row=rows, clipping=value_clippings)
def test_value_clipping_equals_torch(row: list[float], clipping: ValueClipping) -> None:
    """A gradient clipped by value is that of clip_grad_value_."""
    gradients_KP = _row(row)
    parameter = nn.Parameter(torch.zeros_like(gradients_KP))
    parameter.grad = gradients_KP.clone()
    nn.utils.clip_grad_value_([parameter], clipping.clip_value)
    clip(gradients_KP, [clipping])
    assert torch.equal(gradients_KP, parameter.grad)


@settings(deadline=None)
@given(row=rows, clipping=norm_clippings)
def test_a_clipped_norm_is_within_its_limit(row: list[float], clipping: NormClipping) -> None:
    """After clipping by norm the norm is at most max_norm."""
    gradients_KP = _row(row)
    clip(gradients_KP, [clipping])
    assert gradients_KP.norm().item() <= clipping.max_norm * (1 + 1e-12)


@settings(deadline=None)
@given(row=rows, clipping=norm_clippings)
def test_norm_clipping_keeps_the_direction(row: list[float], clipping: NormClipping) -> None:
    """Clipping by norm multiplies every entry by the same coefficient, the one returned."""
    gradients_KP = _row(row)
    before_KP = gradients_KP.clone()
    _, coef_K = clip(gradients_KP, [clipping])
    torch.testing.assert_close(gradients_KP, before_KP * coef_K, rtol=1e-15, atol=0)


@settings(deadline=None)
@given(
    row=rows,
    clipping=st.builds(NormClipping, kind=st.just("norm"), max_norm=st.floats(1, 1e6))
    | value_clippings,
)
def test_clipping_again_changes_nothing(
    row: list[float], clipping: NormClipping | ValueClipping
) -> None:
    """A clipped gradient is not cut a second time, but for torch's guard of 1e-6 on the norm."""
    gradients_KP = _row(row)
    clip(gradients_KP, [clipping])
    once_KP = gradients_KP.clone()
    clip(gradients_KP, [clipping])
    torch.testing.assert_close(gradients_KP, once_KP, rtol=1e-6, atol=0)


@settings(deadline=None)
@given(row=rows, clipping=st.none() | norm_clippings | value_clippings)
def test_the_coefficient_is_norm_after_over_norm_before(
    row: list[float], clipping: Clipping | None
) -> None:
    """The coefficient lies in (0, 1] and turns the norm before into the norm after."""
    gradients_KP = _row(row)
    norm_K, coef_K = clip(gradients_KP, [clipping])
    assert 0 < coef_K.item() <= 1
    after = torch.linalg.vector_norm(gradients_KP)
    torch.testing.assert_close(norm_K[0] * coef_K[0], after, rtol=1e-12, atol=0)


def test_by_hand() -> None:
    """(3, 4) has norm 5: by norm it becomes (0.6, 0.8), by value (1, 1), by nothing it stays."""
    gradients_KP = torch.tensor([[3.0, 4.0]] * 3, dtype=torch.float64)
    norm_K, coef_K = clip(gradients_KP, [NORM_ONE, VALUE_ONE, None])
    expected_KP = torch.tensor([[0.6, 0.8], [1.0, 1.0], [3.0, 4.0]], dtype=torch.float64)
    torch.testing.assert_close(gradients_KP, expected_KP, rtol=1e-6, atol=0)
    assert norm_K.tolist() == [5.0, 5.0, 5.0]
    assert coef_K.tolist() == pytest.approx([0.2, 2**0.5 / 5, 1.0], rel=1e-6)


@pytest.mark.parametrize("clipping", [NORM_ONE, VALUE_ONE])
def test_a_gradient_within_the_limit_keeps_every_bit(clipping: Clipping) -> None:
    """What is within the limit is not touched, and its coefficient is exactly 1."""
    gradients_KP = _row([0.3, -0.4, 0.0], torch.float32)
    before_KP = gradients_KP.clone()
    _, coef_K = clip(gradients_KP, [clipping])
    assert torch.equal(gradients_KP, before_KP)
    assert coef_K.item() == 1.0


def test_a_huge_float32_gradient_has_a_finite_norm() -> None:
    """Entries whose squares overflow float32 are clipped to the limit, not to zero."""
    gradients_KP = torch.full((1, 3), 1e20)
    norm_K, _ = clip(gradients_KP, [NORM_ONE])
    assert norm_K.item() == pytest.approx(3**0.5 * 1e20)
    torch.testing.assert_close(gradients_KP, torch.full((1, 3), 3**-0.5))


def test_a_tiny_float32_gradient_has_a_norm() -> None:
    """Entries whose squares vanish in float32 still have a norm."""
    norm_K, _ = clip(torch.full((1, 4), 1e-30), [None])
    assert norm_K.item() == pytest.approx(2e-30)


@pytest.mark.parametrize("clipping", [None, NORM_ONE, VALUE_ONE])
@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_a_broken_gradient_is_left_as_it_is(clipping: Clipping | None, bad: float) -> None:
    """A non-finite gradient keeps its entries and says by its norm that it is broken."""
    gradients_KP = _row([5.0, bad, 0.5], torch.float32)
    before_KP = gradients_KP.clone()
    norm_K, coef_K = clip(gradients_KP, [clipping])
    torch.testing.assert_close(gradients_KP, before_KP, rtol=0, atol=0, equal_nan=True)
    assert not norm_K.isfinite().item()
    assert coef_K.item() == 1.0


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_broken_gradient_does_not_reach_the_others(bad: float) -> None:
    """The other jobs of a pack are clipped, bit for bit, as they would be alone."""
    clippings: list[Clipping | None] = [NORM_ONE, VALUE_ONE, NORM_ONE, None]
    gradients_KP = torch.randn(4, 33, generator=torch.Generator().manual_seed(0)) * 3
    gradients_KP[0, 5] = bad
    alone_KP = gradients_KP.clone()
    norm_K, coef_K = clip(gradients_KP, clippings)
    for k in range(1, 4):
        norm_alone_K, coef_alone_K = clip(alone_KP[k : k + 1], [clippings[k]])
        assert torch.equal(gradients_KP[k], alone_KP[k])
        assert torch.equal(norm_K[k], norm_alone_K[0])
        assert torch.equal(coef_K[k], coef_alone_K[0])
