"""tanh, sigmoid and exp of the kernels against float64, at their limits, and where nothing counts.

Shapes: N numbers in a row.
"""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.cells.compiled import compiled
from worker.cells.elementwise import exp_of_negatives, sigmoid, tanh

Floats = NDArray[np.float32]

# Steps of 1e-5 to where tanh and the logistic function are flat in float32, on either side.
GRID_N = np.arange(-20, 20, 1e-5).astype(np.float32)


@compiled
def _tanh_of(x_N: Floats) -> Floats:
    y_N = np.empty_like(x_N)
    for at in range(x_N.size):
        y_N[at] = tanh(x_N[at])
    return y_N


@compiled
def _sigmoid_of(x_N: Floats) -> Floats:
    y_N = np.empty_like(x_N)
    for at in range(x_N.size):
        y_N[at] = sigmoid(x_N[at])
    return y_N


def _exp_of(x_N: Floats) -> Floats:
    y_N = x_N.copy()
    exp_of_negatives(y_N, np.empty(x_N.size, np.int32))
    return y_N


def test_tanh_is_within_3e_7() -> None:
    """Everywhere it is as close to the true value as its docstring says."""
    error_N = np.abs(_tanh_of(GRID_N) - np.tanh(GRID_N.astype(np.float64)))

    assert error_N.max() < 3e-7


def test_small_tanh_keeps_its_digits() -> None:
    """Near 0 the error is small against the value too: a vanishing state is not rounded away."""
    x_N = np.geomspace(1e-30, 1, 10_001).astype(np.float32)
    exact_N = np.tanh(x_N.astype(np.float64))

    np.testing.assert_allclose(_tanh_of(x_N), exact_N, rtol=3e-7)


def test_tanh_is_odd_and_within_one() -> None:
    """The two sides have the same bits, and no derivative 1 - h^2 can be negative."""
    y_N = _tanh_of(GRID_N)

    assert np.array_equal(_tanh_of(-GRID_N), -y_N)
    assert np.abs(y_N).max() <= 1


def test_tanh_has_its_limits() -> None:
    """Far out it is 1 - 2^-22, and 0 at 0."""
    far_N = np.array([0, 8, 50, 3e38, np.inf], np.float32)
    y_N = _tanh_of(far_N)

    assert y_N[0] == 0
    assert y_N[1:].tolist() == [1 - 2**-22] * 4


def test_tanh_does_not_fall_towards_its_ends() -> None:
    """No later value is below an earlier one by more than their errors; beyond 8 none differs."""
    y_N = _tanh_of(np.arange(0, 12, 1e-5).astype(np.float32))

    assert (np.maximum.accumulate(y_N) - y_N).max() < 6e-7
    assert np.unique(_tanh_of(np.arange(8, 100, 0.1).astype(np.float32))).size == 1


def test_sigmoid_is_within_2e_7() -> None:
    """Half of tanh's error, and rounding."""
    exact_N = 1 / (1 + np.exp(-GRID_N.astype(np.float64)))

    assert np.abs(_sigmoid_of(GRID_N) - exact_N).max() < 2e-7


def test_gates_stay_between_zero_and_one() -> None:
    """No gate is negative or above 1, and each is 1 minus that of the opposite input."""
    y_N = _sigmoid_of(GRID_N)

    assert y_N.min() >= 0
    assert y_N.max() <= 1
    np.testing.assert_allclose(_sigmoid_of(-GRID_N), 1 - y_N, rtol=0, atol=1.2e-7)


def test_exp_is_within_3e_7_of_each_value() -> None:
    """The relative error stays small from 0 down to the smallest normal numbers."""
    x_N = np.arange(-87, 0, 1e-4).astype(np.float32)
    exact_N = np.exp(x_N.astype(np.float64))

    np.testing.assert_allclose(_exp_of(x_N), exact_N, rtol=3e-7)


def test_exp_is_one_at_zero_and_never_zero() -> None:
    """The largest logit has exactly 1; beyond -87 all have the smallest value."""
    y_N = _exp_of(np.array([0.0, -0.0, -87, -88, -1e30, -np.inf], np.float32))

    assert y_N[:2].tolist() == [1, 1]
    assert np.unique(y_N[2:]).size == 1
    assert 1.6e-38 < y_N[2] < 1.7e-38


def test_exp_does_not_fall_as_its_argument_grows() -> None:
    """Where the power of two changes there is no step down beyond rounding."""
    y_N = _exp_of(np.arange(-87, 0, 1e-4).astype(np.float32))

    assert (np.diff(y_N) > -3e-7 * y_N[:-1]).all()


@pytest.mark.parametrize("function", [_tanh_of, _sigmoid_of, _exp_of])
def test_what_is_not_a_number_stays_so(function: Callable[[Floats], Floats]) -> None:
    """A nan among numbers comes out as nan, wherever it stands, and harms no other."""
    x_N = np.full(67, -0.5, np.float32)
    for place in (0, 5, 40, 66):
        x_N[place] = np.nan
    y_N = function(x_N)

    assert np.array_equal(np.isnan(y_N), np.isnan(x_N))
    assert np.unique(y_N[~np.isnan(y_N)]).size == 1
