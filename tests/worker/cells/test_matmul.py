"""The three products of the kernels against numpy, over all layouts that they are given.

Shapes: M x N results over an inner dimension of Q.
"""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from worker.cells.matmul import (
    multiply,
    multiply_left_transposed,
    multiply_right_transposed,
)

Floats = NDArray[np.float32]
Product = Callable[[Floats, Floats, Floats, bool], None]

#: Each product with what it does to its factors first.
PRODUCTS: dict[str, tuple[Product, bool, bool]] = {
    "plain": (multiply, False, False),
    "left transposed": (multiply_left_transposed, True, False),
    "right transposed": (multiply_right_transposed, False, True),
}
each_product = pytest.mark.parametrize("name", PRODUCTS)
sizes = st.integers(1, 40)
#: M, N and Q.
shapes = st.tuples(sizes, sizes, sizes)


class Drawn:
    """Normal numbers, some as a part of the columns of a wider matrix.

    Args:
        seed: of the numbers.
        columns_left_out: of the wider matrix, on the left.
    """

    def __init__(self, seed: int, columns_left_out: int = 0) -> None:
        self._generator = np.random.default_rng(seed)
        self._left_out = columns_left_out

    def matrix(self, rows: int, columns: int, *, is_transposed: bool = False) -> Floats:
        """(rows, columns), or what is that once transposed."""
        shape = (columns, rows) if is_transposed else (rows, columns)
        wide = self._generator.normal(size=(shape[0], self._left_out + shape[1] + self._left_out))
        first = self._left_out
        return wide.astype(np.float32)[:, first : first + shape[1]]


def _multiply(
    name: str, left: Floats, right: Floats, result: Floats, *, keep: bool = False
) -> None:
    product, _, _ = PRODUCTS[name]
    product(left, right, result, keep)


def _assert_product(name: str, drawn: Drawn, shape: tuple[int, int, int], *, keep: bool) -> None:
    """The result is numpy's in float64, within rounding in float32."""
    _, left_transposed, right_transposed = PRODUCTS[name]
    rows, columns, inner = shape
    left = drawn.matrix(rows, inner, is_transposed=left_transposed)
    right = drawn.matrix(inner, columns, is_transposed=right_transposed)
    result = drawn.matrix(rows, columns)
    before = result.astype(np.float64)
    if not keep:
        result[:] = np.nan
    left_64, right_64 = left.astype(np.float64), right.astype(np.float64)
    expected = (left_64.T if left_transposed else left_64) @ (
        right_64.T if right_transposed else right_64
    )
    _multiply(name, left, right, result, keep=keep)

    # Each of Q additions may round once.
    np.testing.assert_allclose(
        result, expected + before if keep else expected, rtol=1e-5, atol=2e-6 * inner
    )


@each_product
@given(shape=shapes, keep=st.booleans(), seed=st.integers(0, 1000))
def test_product_is_that_of_numpy(
    *, name: str, shape: tuple[int, int, int], keep: bool, seed: int
) -> None:
    """Of any shape, added to what is there or written over it, even over nan."""
    _assert_product(name, Drawn(seed), shape, keep=keep)


@each_product
@given(shape=shapes, keep=st.booleans(), left_out=st.integers(1, 5))
def test_factors_and_result_may_be_columns_of_wider_matrices(
    *, name: str, shape: tuple[int, int, int], keep: bool, left_out: int
) -> None:
    """Where rows are further apart than they are long, only the columns in question count."""
    _assert_product(name, Drawn(0, left_out), shape, keep=keep)


@each_product
def test_columns_beside_the_result_are_left_alone(name: str) -> None:
    """Nothing is written between the rows of a result that is a part of the columns."""
    whole = np.full((4, 6), 7, np.float32)
    square = np.ones((4, 4), np.float32)
    _multiply(name, square, square, whole[:, 1:5])

    assert (whole[:, 1:5] == 4).all()
    assert (whole[:, [0, 5]] == 7).all()


def test_single_row_may_have_any_step_to_the_next() -> None:
    """A matrix of one row whose rows are one number apart, as torch leaves it, is multiplied."""
    row = np.lib.stride_tricks.as_strided(np.arange(1, 6, dtype=np.float32), (1, 5), (4, 4))
    result = np.zeros((2, 5), np.float32)
    _multiply("plain", np.array([[1], [2]], np.float32), row, result)

    assert result.tolist() == [[1, 2, 3, 4, 5], [2, 4, 6, 8, 10]]


@each_product
@pytest.mark.parametrize("odd_one", [np.nan, np.inf])
def test_what_is_not_finite_does_not_become_finite(name: str, odd_one: float) -> None:
    """A nan or an infinity in a factor is in every number that it enters, and in no other."""
    left, right = np.ones((5, 5), np.float32), np.ones((5, 5), np.float32)
    right[2, 3] = odd_one
    result = np.zeros((5, 5), np.float32)
    _multiply(name, left, right, result)
    column = 2 if name == "right transposed" else 3

    assert not np.isfinite(result[:, column]).any()
    assert np.isfinite(np.delete(result, column, axis=1)).all()
