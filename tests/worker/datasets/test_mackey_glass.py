"""The Mackey-Glass series against its equation, and what is asked about it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.spec import MackeyGlass
from worker.datasets.mackey_glass import integrate, mackey_glass_series, make_mackey_glass
from worker.datasets.task import Batch

SPEC = MackeyGlass(kind="mackey_glass", seq_len=20, horizon=5)


@given(start=st.floats(0.5, 1.5), tau=st.integers(10, 40))
def test_first_delay_is_solved_by_hand(start: float, tau: int) -> None:
    """Its past is constant, so x decays towards 2 c / (1 + c^10) with rate 0.1."""
    level = 2 * start / (1 + start**10)
    expected = [level + (start - level) * math.exp(-0.1 * t) for t in range(1, tau + 1)]

    np.testing.assert_allclose(integrate(start, tau, tau), expected, rtol=1e-8)


def test_second_delay_is_what_variation_of_constants_gives() -> None:
    """x(2 tau) by an integral over the known first delay, with 200,000 trapezoids."""
    start, tau = 1.2, 17
    level = 2 * start / (1 + start**10)
    past = np.linspace(0, tau, 200_001)
    delayed = level + (start - level) * np.exp(-0.1 * past)
    drive = 0.2 * delayed / (1 + delayed**10) * np.exp(-0.1 * (tau - past))
    begin = level + (start - level) * math.exp(-0.1 * tau)
    expected = begin * math.exp(-0.1 * tau) + np.trapezoid(drive, past)

    assert integrate(start, tau, 2 * tau)[-1] == pytest.approx(expected, rel=1e-5)


def test_fixed_point_of_the_equation_stays() -> None:
    """At x = 1 what is made and what decays are equal."""
    np.testing.assert_allclose(integrate(1.0, 17, 100), 1.0, rtol=1e-12)


@pytest.mark.parametrize("units", [1, 16, 17, 18, 40])
def test_series_is_as_long_as_asked_for(units: int) -> None:
    """Whole delays or not."""
    assert len(integrate(1.1, 17, units)) == units


def test_series_has_the_known_range_and_spread() -> None:
    """With tau 17 it moves between about 0.4 and 1.35, with a deviation of about 0.23."""
    series = mackey_glass_series(0, 17, 5_000)

    assert 0.35 < series.min() < 0.5
    assert 1.25 < series.max() < 1.4
    assert series.std() == pytest.approx(0.227, abs=0.02)


def test_each_seed_has_a_series_of_its_own() -> None:
    """The start is drawn by the seed."""
    assert abs(mackey_glass_series(0, 17, 50) - mackey_glass_series(1, 17, 50)).max() > 0.01


def _rows(batch: Batch, series: list[float]) -> set[int]:
    """Where the targets of a batch stand in the scaled series."""
    return {series.index(value) for value in batch.target[:, 0, 0].tolist()}


def test_target_lies_horizon_steps_after_the_window() -> None:
    """Window and target of every test sequence are found in the series at their distance."""
    dataset = make_mackey_glass(SPEC, 0)
    series = dataset.inputs_RI[:, 0].tolist()
    test = dataset.test()

    for x_T, target in zip(test.x_NTI[:, :, 0].tolist(), test.target[:, 0, 0], strict=True):
        first = series.index(x_T[0])
        assert series[first : first + 20] == x_T
        assert series[first + 20 + 5 - 1] == target


def test_splits_share_no_target_and_follow_in_time() -> None:
    """Training lies in the first 70 % of 5,000 rows, the test in the last 15 %."""
    dataset = make_mackey_glass(SPEC, 0)
    series = dataset.inputs_RI[:, 0].tolist()

    assert max(_rows(dataset.batch(1, 2_000), series)) < 3_500
    assert _rows(dataset.validation(), series) == set(range(3_504, 4_250))
    assert _rows(dataset.test(), series) == set(range(4_254, 5_000))


def test_series_is_scaled_by_its_training_rows() -> None:
    """Mean 0 and deviation 1 over the first 3,500 rows."""
    train_R = make_mackey_glass(SPEC, 0).inputs_RI[:3_500].astype(np.float64)

    assert train_R.mean() == pytest.approx(0, abs=1e-6)
    assert train_R.std() == pytest.approx(1, abs=1e-6)


def test_baseline_is_about_the_variance() -> None:
    """Predicting the mean has an NRMSE of about 1."""
    assert make_mackey_glass(SPEC, 0).task.baseline == pytest.approx(1, abs=0.05)
