"""Each generated task against its definition, read off the sequences themselves."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from contract.spec import Adding, DelayedRecall, TemporalOrder
from worker.datasets.adding import make_adding
from worker.datasets.delayed_recall import make_delayed_recall
from worker.datasets.temporal_order import make_temporal_order


@given(seq_len=st.integers(2, 60), seed=st.integers(0, 2**63 - 1))
def test_adding_marks_one_value_in_each_half_and_asks_for_their_sum(
    seq_len: int, seed: int
) -> None:
    """The target is recomputed sequence by sequence from the markers."""
    batch = make_adding(Adding(kind="adding", seq_len=seq_len), seed).batch(1, 16)

    for x_TI, target in zip(batch.x_NTI, batch.target, strict=True):
        first, second = np.flatnonzero(x_TI[:, 1])
        assert first < seq_len // 2 <= second
        assert target[0, 0] == x_TI[first, 0] + x_TI[second, 0]


def test_adding_draws_its_values_evenly_from_0_to_1() -> None:
    """Mean and variance are those of U[0, 1), markers or not."""
    values = make_adding(Adding(kind="adding", seq_len=50), 0).test().x_NTI[:, :, 0]

    assert 0 <= values.min() < values.max() < 1
    np.testing.assert_allclose([values.mean(), values.var()], [1 / 2, 1 / 12], rtol=0.01)


@given(seq_len=st.integers(2, 40), num_symbols=st.integers(2, 64))
def test_delayed_recall_shows_a_symbol_then_blanks_then_the_cue(
    seq_len: int, num_symbols: int
) -> None:
    """The target is the first symbol; the rest says nothing about it."""
    spec = DelayedRecall(kind="delayed_recall", seq_len=seq_len, num_symbols=num_symbols)
    batch = make_delayed_recall(spec, 0).batch(1, 8)
    symbol_NT = batch.x_NTI.argmax(axis=2)

    assert (batch.x_NTI.sum(axis=2) == 1).all()
    np.testing.assert_array_equal(symbol_NT[:, :1], batch.target)
    assert (symbol_NT[:, 1:-1] == num_symbols).all()
    assert (symbol_NT[:, -1] == num_symbols + 1).all()


@given(seq_len=st.integers(10, 80), seed=st.integers(0, 2**63 - 1))
def test_temporal_order_hides_two_symbols_in_their_tenths(seq_len: int, seed: int) -> None:
    """A and B stand at p0 and p1 within their bounds; their order is the class."""
    spec = TemporalOrder(kind="temporal_order", seq_len=seq_len)
    batch = make_temporal_order(spec, seed).batch(1, 16)

    for symbol_T, target in zip(batch.x_NTI.argmax(axis=2), batch.target, strict=True):
        first, second = np.flatnonzero(symbol_T < 2)
        assert seq_len // 10 <= first < 2 * (seq_len // 10)
        assert seq_len // 2 <= second < seq_len // 2 + seq_len // 10
        assert target[0] == 2 * symbol_T[first] + symbol_T[second]


def test_temporal_order_uses_every_position_and_every_class() -> None:
    """Over many sequences nothing that may happen is left out."""
    spec = TemporalOrder(kind="temporal_order", seq_len=30)
    test = make_temporal_order(spec, 0).test()
    marked_steps = np.flatnonzero((test.x_NTI.argmax(axis=2) < 2).any(axis=0))

    assert marked_steps.tolist() == [3, 4, 5, 15, 16, 17]
    assert np.unique(test.target).tolist() == [0, 1, 2, 3]
