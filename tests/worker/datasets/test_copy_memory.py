"""The copy task against its definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from contract.spec import CopyMemory
from worker.datasets.copy_memory import make_copy_memory


@given(lag=st.integers(1, 30), num_symbols=st.integers(2, 12), num_values=st.integers(1, 12))
def test_symbols_are_shown_and_asked_for_again_after_the_lag(
    lag: int, num_symbols: int, num_values: int
) -> None:
    """By hand: symbols, lag - 1 blanks, delimiter, blanks; answers are blanks, then the symbols."""
    spec = CopyMemory(kind="copy_memory", lag=lag, num_symbols=num_symbols, num_values=num_values)
    batch = make_copy_memory(spec, 0).batch(1, 4)

    for shown_T, asked_T in zip(batch.x_NTI.argmax(axis=2), batch.target, strict=True):
        copied = shown_T[:num_values].tolist()
        blanks = [num_symbols] * (lag - 1)
        waiting = [num_symbols] * num_values
        assert max(copied) < num_symbols
        assert shown_T.tolist() == [*copied, *blanks, num_symbols + 1, *waiting]
        assert asked_T.tolist() == [num_symbols] * (num_values + lag) + copied


def test_symbols_are_one_hot_and_drawn_evenly() -> None:
    """Each of the 8 symbols is shown about as often at every place."""
    test = make_copy_memory(CopyMemory(kind="copy_memory"), 0).test()
    share_VI = test.x_NTI[:, :10].mean(axis=0)

    assert (test.x_NTI.sum(axis=2) == 1).all()
    np.testing.assert_allclose(share_VI[:, :8], 1 / 8, atol=0.03)


def test_an_answer_is_due_after_every_step() -> None:
    """S is T, the published lag plus 20."""
    task = make_copy_memory(CopyMemory(kind="copy_memory", lag=30), 0).task

    assert task.target_steps == task.seq_len == 50
