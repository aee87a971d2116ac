"""Clipping against torch's, its invariants, and broken gradients.

Shapes: K jobs, P parameters.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from contract.spec import (
    Clipping,
    NormClipping,
    PercentileClipping,
    UnitClipping,
    ValueClipping,
    ZScoreClipping,
)
from tests.worker.remedies.clipped import clip, drawn_gradients, layout
from worker.remedies.clipping import make_clipping

limits = st.floats(1e-6, 1e6)
norm_clippings = st.builds(NormClipping, kind=st.just("norm"), max_norm=limits)
value_clippings = st.builds(ValueClipping, kind=st.just("value"), clip_value=limits)
rows = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8)

NORM_ONE = NormClipping(kind="norm", max_norm=1.0)
VALUE_ONE = ValueClipping(kind="value", clip_value=1.0)
EVERY_RULE: list[Clipping | None] = [
    None,
    NORM_ONE,
    VALUE_ONE,
    UnitClipping(kind="agc", clipping=0.05),
    PercentileClipping(kind="auto", percentile=30.0),
    ZScoreClipping(kind="zclip", warmup_steps=3, z_threshold=0.5, alpha=0.9),
]


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


@pytest.mark.parametrize("clipping", EVERY_RULE)
def test_the_coefficient_is_norm_after_over_norm_before(clipping: Clipping | None) -> None:
    """Whatever the rule and its past, the coefficient turns the norm before into the one after."""
    clipping_K = make_clipping([clipping], layout(), torch.device("cpu"))
    cut = 0
    for step in range(30):
        gradients_KP, parameters_KP = drawn_gradients(1, step, torch.float64)
        before = torch.linalg.vector_norm(gradients_KP)
        norm_K, coef_K = clipping_K.clip(gradients_KP, parameters_KP)
        assert 0 < coef_K.item() <= 1
        after = torch.linalg.vector_norm(gradients_KP)
        torch.testing.assert_close(norm_K[0], before, rtol=1e-12, atol=0)
        torch.testing.assert_close(norm_K[0] * coef_K[0], after, rtol=1e-12, atol=0)
        cut += coef_K.item() < 1
    assert (cut > 0) == (clipping is not None)


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


def _past(clippings: list[Clipping | None], num_steps: int, dtype: torch.dtype) -> "_Run":
    run = _Run(clippings, dtype)
    for step in range(num_steps):
        run.clip(step)
    return run


class _Run:
    """A pack that clips one drawn gradient after the other."""

    def __init__(self, clippings: list[Clipping | None], dtype: torch.dtype) -> None:
        self.clipping = make_clipping(clippings, layout(), torch.device("cpu"))
        self._size, self._dtype = len(clippings), dtype

    def clip(
        self, step: int, *, bad: float | None = None, active_K: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradient after clipping, its norm before and the coefficient."""
        gradients_KP, parameters_KP = drawn_gradients(self._size, step, self._dtype)
        if bad is not None:
            gradients_KP[:, 5] = bad
        norm_K, coef_K = self.clipping.clip(gradients_KP, parameters_KP, active_K)
        return gradients_KP, norm_K, coef_K

    def memory(self) -> dict[str, Tensor]:
        """A copy of the state."""
        return {name: rows.clone() for name, rows in self.clipping.state.items()}


@pytest.mark.parametrize("clipping", EVERY_RULE)
@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
def test_a_broken_gradient_is_left_as_it_is(clipping: Clipping | None, bad: float) -> None:
    """A non-finite gradient keeps its entries and says by its norm that it is broken."""
    gradients_KP, norm_K, coef_K = _past([clipping], 5, torch.float32).clip(9, bad=bad)
    expected_KP, _ = drawn_gradients(1, 9, torch.float32)
    expected_KP[:, 5] = bad
    torch.testing.assert_close(gradients_KP, expected_KP, rtol=0, atol=0, equal_nan=True)
    assert not norm_K.isfinite().item()
    assert coef_K.item() == 1.0


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_broken_gradient_is_not_remembered(bad: float) -> None:
    """A non-finite norm leaves the memory of every rule as it was, bit for bit."""
    run = _past(EVERY_RULE, 5, torch.float32)
    before = run.memory()
    run.clip(9, bad=bad)
    assert len(before) == 6
    for name, rows in run.clipping.state.items():
        assert torch.equal(rows, before[name])


def test_an_inactive_job_keeps_gradient_and_memory() -> None:
    """A job whose update is not made keeps its gradient and its memory, bit for bit."""
    run = _past(EVERY_RULE, 5, torch.float32)
    before = run.memory()
    active_K = torch.zeros(len(EVERY_RULE), dtype=torch.bool)
    gradients_KP, _, coef_K = run.clip(9, active_K=active_K)
    expected_KP, _ = drawn_gradients(len(EVERY_RULE), 9, torch.float32)
    assert torch.equal(gradients_KP, expected_KP)
    assert coef_K.tolist() == [1.0] * len(EVERY_RULE)
    for name, rows in run.clipping.state.items():
        assert torch.equal(rows, before[name])


@pytest.mark.parametrize("clipping", EVERY_RULE)
def test_clipping_stays_on_its_device(clipping: Clipping | None) -> None:
    """No rule copies anything to the host: on a GPU it would wait there for all work queued.

    torch's meta device has no data to copy, and raises if it is asked for any.
    """
    meta = torch.device("meta")
    rows_KP, parameters_KP = (rows.to(meta) for rows in drawn_gradients(2, 0, torch.float32))
    active_K = torch.ones(2, dtype=torch.bool, device=meta)
    told = make_clipping([clipping] * 2, layout(), meta).clip(rows_KP, parameters_KP, active_K)
    assert [told_K.device for told_K in told] == [meta, meta]


def test_a_job_in_a_pack_has_the_bits_it_has_alone() -> None:
    """Other rules, other jobs' refused steps and broken gradients change no bit of a job's."""
    together = _Run(EVERY_RULE, torch.float32)
    alone = [make_clipping([clipping], layout(), torch.device("cpu")) for clipping in EVERY_RULE]
    for step in range(40):
        gradients_KP, parameters_KP = drawn_gradients(len(EVERY_RULE), step, torch.float32)
        if step % 7 == 3:
            gradients_KP[step % len(EVERY_RULE), 2] = float("nan")
        active_K = torch.tensor([(step + k) % 5 != 0 for k in range(len(EVERY_RULE))])
        single_KP = gradients_KP.clone()
        told = together.clipping.clip(gradients_KP, parameters_KP, active_K)
        for k, clipping in enumerate(alone):
            told_alone = clipping.clip(
                single_KP[k : k + 1], parameters_KP[k : k + 1].clone(), active_K[k : k + 1]
            )
            for one, other in zip(told, told_alone, strict=True):
                torch.testing.assert_close(one[k], other[0], rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(gradients_KP, single_KP, rtol=0, atol=0, equal_nan=True)
    for k, clipping in enumerate(alone):
        for name, rows in clipping.state.items():
            assert torch.equal(together.clipping.state[name][k], rows[0])


def test_a_memory_written_back_goes_on_as_before() -> None:
    """Rows of the state copied into another pack's state continue the same clipping."""
    run, other = _past(EVERY_RULE, 12, torch.float32), _past(EVERY_RULE, 3, torch.float32)
    for name, rows in run.memory().items():
        other.clipping.state[name].copy_(rows)
    for step in range(12, 20):
        for one, same in zip(run.clip(step), other.clip(step), strict=True):
            assert torch.equal(one, same)
