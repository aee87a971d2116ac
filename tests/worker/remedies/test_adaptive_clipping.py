"""Clipping rules that follow the run, against the papers' formulas in plain Python and numpy.

Shapes: K jobs, P parameters, R units.
"""

import math
from statistics import fmean, pvariance

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from contract.spec import PercentileClipping, UnitClipping, ZScoreClipping
from tests.worker.remedies.clipped import drawn_gradients, layout
from tests.worker.training.layouts import layout_of
from worker.remedies.clipping import PackClipping, make_clipping
from worker.remedies.clipping.by_percentile import REMEMBERED

norms = st.lists(st.floats(0, 1e6), min_size=1, max_size=60)


def _make(*clippings: UnitClipping | PercentileClipping | ZScoreClipping) -> PackClipping:
    return make_clipping(clippings, layout(), torch.device("cpu"))


def _limit(clipping: PackClipping, norm: float) -> float:
    """The norm that is left of a gradient of this norm."""
    norm_K, coef_K = clipping.clip(torch.tensor([[norm]], dtype=torch.float64), torch.zeros(1, 1))
    return float(norm_K[0] * coef_K[0])


def _of_authors(gradient: Tensor, weight: Tensor, clipping: float, eps: float) -> Tensor:
    """AGC of one matrix, row by row, as the paper has it."""
    rows = []
    for gradient_row, weight_row in zip(gradient.tolist(), weight.tolist(), strict=True):
        limit = clipping * max(math.hypot(*weight_row), eps)
        norm = math.hypot(*gradient_row)
        scale = limit / norm if norm > limit else 1.0
        rows.append([scale * entry for entry in gradient_row])
    return torch.tensor(rows, dtype=torch.float64)


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1_000),
    clipping=st.floats(1e-3, 10),
    eps=st.sampled_from([1e-3, 1.0]),
)
def test_agc_is_the_authors_rule_with_the_bias_as_a_column(
    seed: int, clipping: float, eps: float
) -> None:
    """Each recurrent matrix, its bias as one more column, is clipped row by row."""
    gradients_KP, parameters_KP = drawn_gradients(1, seed, torch.float64)
    before = {name: g[0].clone() for name, g in layout().named(gradients_KP).items()}
    _make(UnitClipping(kind="agc", clipping=clipping, eps=eps)).clip(gradients_KP, parameters_KP)
    after, weights = layout().named(gradients_KP), layout().named(parameters_KP)
    for part in ("ih_l0", "hh_l0", "ih_l1", "hh_l1"):
        names = f"rnn.weight_{part}", f"rnn.bias_{part}"
        expected = _of_authors(
            torch.column_stack([before[name] for name in names]),
            torch.column_stack([weights[name][0] for name in names]),
            clipping,
            eps,
        )
        clipped = torch.column_stack([after[name][0] for name in names])
        torch.testing.assert_close(clipped, expected, rtol=1e-12, atol=0)


def test_agc_leaves_the_readout_alone() -> None:
    """The last layer keeps its gradient, bit for bit, however small its weights."""
    gradients_KP, parameters_KP = drawn_gradients(1, 0, torch.float32)
    before = layout().named(gradients_KP.clone())
    _make(UnitClipping(kind="agc", clipping=1e-6)).clip(gradients_KP, parameters_KP)
    for name in ("readout.weight", "readout.bias"):
        assert torch.equal(layout().named(gradients_KP)[name], before[name])


def test_agc_lets_a_bias_leave_zero() -> None:
    """By hand: weights (3, 4), bias 0, gradient (0, 0) and 10: at 0.01 a bias step of 0.05 is left.

    By the norm of the bias alone it would be 0.01 * eps = 1e-5.
    """
    plain = layout_of("rnn", inputs=2, hidden_size=1)
    parameters_KP, gradients_KP = torch.zeros(2, 1, plain.num_parameters, dtype=torch.float64)
    plain.named(parameters_KP)["rnn.weight_ih_l0"].copy_(torch.tensor([[[3.0, 4.0]]]))
    plain.named(gradients_KP)["rnn.bias_ih_l0"].fill_(10.0)
    clipping = make_clipping([UnitClipping(kind="agc")], plain, torch.device("cpu"))
    norm_K, coef_K = clipping.clip(gradients_KP, parameters_KP)
    assert plain.named(gradients_KP)["rnn.bias_ih_l0"].item() == pytest.approx(0.05)
    assert norm_K.item() == 10.0
    assert coef_K.item() == pytest.approx(0.005)


@settings(deadline=None, max_examples=25)
@given(norms=norms, percentile=st.floats(0.1, 100))
def test_autoclip_limits_to_the_percentile_of_all_norms_so_far(
    norms: list[float], percentile: float
) -> None:
    """Each norm is cut to numpy's percentile of itself and those before it, unless that is 0."""
    clipping = _make(PercentileClipping(kind="auto", percentile=percentile))
    for step, norm in enumerate(norms, start=1):
        limit = float(np.percentile(norms[:step], percentile))
        expected = min(norm, limit) if limit > 0 else norm
        assert _limit(clipping, norm) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_autoclip_by_hand() -> None:
    """At the median of 4, 2, 9 and 9 the limits are 4, 3, 4 and 6.5: left are 4, 2, 4 and 6.5."""
    clipping = _make(PercentileClipping(kind="auto", percentile=50.0))
    assert [_limit(clipping, norm) for norm in (4.0, 2.0, 9.0, 9.0)] == [4.0, 2.0, 4.0, 6.5]


def test_autoclip_forgets_what_is_older_than_its_ring() -> None:
    """Once as many norms of 1 have come as it remembers, an old level of 100 counts no more."""
    clipping = _make(PercentileClipping(kind="auto", percentile=100.0))
    assert _limit(clipping, 100.0) == 100.0
    # As if REMEMBERED - 1 norms of 1 had followed.
    clipping.state["auto.norm"][0, 1:] = 1.0
    clipping.state["auto.sorted"][0, :-1] = 1.0
    clipping.state["auto.sorted"][0, -1] = 100.0
    clipping.state["auto.count"][0] = REMEMBERED
    assert clipping.state["auto.sorted"].max() == 100.0
    _limit(clipping, 1.0)
    assert clipping.state["auto.sorted"].max() == 1.0
    assert torch.equal(clipping.state["auto.norm"], clipping.state["auto.sorted"])


def test_autoclip_cuts_a_vanishing_gradient_no_more_than_any_other() -> None:
    """Norms of 1e-12 are cut in the same proportion as norms of 1."""
    small = _make(PercentileClipping(kind="auto", percentile=50.0))
    large = _make(PercentileClipping(kind="auto", percentile=50.0))
    for norm in (1.0, 3.0, 2.0, 9.0):
        assert _limit(small, norm * 1e-12) * 1e12 == pytest.approx(_limit(large, norm), rel=1e-12)


def _zclip(norms: list[float], clipping: ZScoreClipping) -> list[float]:
    """The norms that are left, by the paper's algorithm."""
    left = list(norms[: clipping.warmup_steps])
    mean, variance = fmean(left), pvariance(left)
    for norm in norms[clipping.warmup_steps :]:
        z = (norm - mean) / (variance**0.5 + 1e-6)
        limit = mean + clipping.z_threshold**2 / z * variance**0.5 if z > 0 else norm
        clipped = limit if z > clipping.z_threshold and limit > 0 else norm
        mean = clipping.alpha * mean + (1 - clipping.alpha) * clipped
        variance = clipping.alpha * variance + (1 - clipping.alpha) * (clipped - mean) ** 2
        left.append(clipped)
    return left


@settings(deadline=None, max_examples=25)
@given(
    norms=st.lists(st.floats(0.01, 100), min_size=1, max_size=60),
    z_threshold=st.floats(0.5, 4),
    alpha=st.floats(0, 0.99),
    warmup_steps=st.integers(1, 30),
)
def test_zclip_equals_the_papers_algorithm(
    norms: list[float], z_threshold: float, alpha: float, warmup_steps: int
) -> None:
    """Each norm is left as by mean and deviation of the clipped norms, written out in floats."""
    spec = ZScoreClipping(
        kind="zclip", z_threshold=z_threshold, alpha=alpha, warmup_steps=warmup_steps
    )
    clipping = _make(spec)
    left = [_limit(clipping, norm) for norm in norms]
    assert left == pytest.approx(_zclip(norms, spec), rel=1e-6)


def test_zclip_by_hand() -> None:
    """Warm-up 1, 3: mean 2, deviation 1. With z0 = 2 the norm 6 has z = 4 and is cut to 3."""
    spec = ZScoreClipping(kind="zclip", z_threshold=2.0, alpha=0.5, warmup_steps=2)
    clipping = _make(spec)
    assert [_limit(clipping, norm) for norm in (1.0, 3.0)] == [1.0, 3.0]
    assert _limit(clipping, 6.0) == pytest.approx(3.0, rel=1e-5)
    # The clipped norm moves the mean to 2.5 and the variance to (1 + 0.25) / 2.
    assert clipping.state["zclip.mean"].item() == pytest.approx(2.5, rel=1e-5)
    assert clipping.state["zclip.variance"].item() == pytest.approx(0.625, rel=1e-5)


def test_zclip_cuts_a_larger_spike_to_less() -> None:
    """Of two spikes the worse one is left smaller, and both stay above the mean."""
    spec = ZScoreClipping(kind="zclip", warmup_steps=4)
    left = []
    for spike in (10.0, 1_000.0):
        clipping = _make(spec)
        for norm in (1.0, 2.0, 1.0, 2.0):
            _limit(clipping, norm)
        left.append(_limit(clipping, spike))
    assert 1.5 < left[1] < left[0] < 1.5 + 2.5 * 0.5


def test_zclip_does_not_stop_at_a_start_of_zeros() -> None:
    """After a warm-up of zero gradients the first that is none passes whole."""
    clipping = _make(ZScoreClipping(kind="zclip", warmup_steps=2))
    assert [_limit(clipping, norm) for norm in (0.0, 0.0, 5.0)] == [0.0, 0.0, 5.0]
