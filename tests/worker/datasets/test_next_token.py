"""Predicting characters: tokens, windows, splits and the baseline."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.spec import NextToken, Upload
from contract.spec.upload_task import characters_needed
from worker.datasets.next_token import make_next_token
from worker.datasets.registry import open_dataset
from worker.datasets.task import Batch, DatasetInvalidError

SPEC = NextToken(kind="next_token", seq_len=4)


def _table(text: str, width: int = 7) -> pa.Table:
    """A text as rows of that many characters."""
    return pa.table({"text": [text[at : at + width] for at in range(0, len(text), width)]})


def _drawn_text(length: int, alphabet: str = "abcdefgh") -> str:
    return "".join(np.random.default_rng(0).choice(list(alphabet), length))


def _read(batch: Batch, alphabet: str) -> list[str]:
    """Each window with the character after it, as text."""
    token_NT = np.concatenate([batch.x_NTI.argmax(axis=2), batch.target[:, -1:]], axis=1)
    return ["".join(alphabet[token] for token in token_T) for token_T in token_NT]


def test_each_target_is_the_next_input() -> None:
    """At every step but the last the answer is what is shown at the step after."""
    batch = make_next_token(SPEC, _table(_drawn_text(200)), 0).batch(1, 16)

    np.testing.assert_array_equal(batch.target[:, :-1], batch.x_NTI.argmax(axis=2)[:, 1:])
    assert (batch.x_NTI.sum(axis=2) == 1).all()


def test_held_out_windows_follow_one_another_in_their_part() -> None:
    """By hand: of 200 characters 140 to 169 are for validation, 170 to 199 for the test."""
    text = _drawn_text(200)
    dataset = make_next_token(SPEC, _table(text), 0)

    expected = [text[at : at + 5] for at in range(140, 166, 4)]
    assert _read(dataset.validation(), "abcdefgh?") == expected
    expected = [text[at : at + 5] for at in range(170, 196, 4)]
    assert _read(dataset.test(), "abcdefgh?") == expected


def test_training_windows_begin_anywhere_in_the_first_part() -> None:
    """Windows of 5 out of 140 characters: 136 places, all of them drawn, no other."""
    alphabet = "".join(chr(0x4E00 + at) for at in range(200))
    dataset = make_next_token(SPEC, _table(alphabet), 0)
    drawn = dataset.batch(1, 4_000).x_NTI.argmax(axis=2)[:, 0]

    assert sorted(set(drawn.tolist())) == list(range(136))


def test_rows_are_read_one_after_the_other() -> None:
    """However a text is cut into rows, it is the same text."""
    text = _drawn_text(200)
    one, two = (make_next_token(SPEC, _table(text, width), 0) for width in (1, 50))

    np.testing.assert_array_equal(one.token_R, two.token_R)


def test_unseen_characters_share_the_last_token() -> None:
    """What training has not seen is not told apart, and costs something finite."""
    text = "ab" * 70 + "xyzü" * 15
    dataset = make_next_token(SPEC, _table(text), 0)

    assert set(dataset.test().target.ravel().tolist()) == {2}
    assert dataset.task.output_size == dataset.task.input_size == 3
    assert dataset.task.baseline == pytest.approx(-math.log(1 / 141))


def test_the_256_most_frequent_characters_are_told_apart() -> None:
    """Of 300 characters the 44 rarest share the last token."""
    frequent = "".join(chr(0x100 + at) for at in range(256)) * 5
    text = frequent + "".join(chr(0x10000 + at) for at in range(44)) * 2 + frequent[:500]
    dataset = make_next_token(SPEC, _table(text), 0)

    assert dataset.task.output_size == 257
    assert (dataset.token_R == 256).sum() == 88


def test_baseline_is_the_unigram_loss_worked_out_by_hand() -> None:
    """Frequencies are counted in training and judged on the targets of the test windows."""
    text = _drawn_text(400, "aaaabbc")
    counts = Counter(text[:280]) | Counter({"?": 1})
    asked = [letter for at in range(340, 396, 4) for letter in text[at + 1 : at + 5]]
    dataset = make_next_token(SPEC, _table(text), 0)

    expected = -np.mean([math.log(counts[letter] / 281) for letter in asked])
    assert dataset.task.baseline == pytest.approx(expected)
    assert dataset.task.learned_below == dataset.task.baseline
    assert dataset.task.target_steps == dataset.task.seq_len == 4


@given(seq_len=st.integers(2, 60), extra=st.integers(0, 20))
def test_the_characters_said_to_be_needed_are_enough(seq_len: int, extra: int) -> None:
    """With that many or a few more every split has a window; with one less it is refused."""
    spec = NextToken(kind="next_token", seq_len=seq_len)
    needed = characters_needed(seq_len)
    dataset = make_next_token(spec, _table(_drawn_text(needed + extra)), 0)

    splits = (dataset.batch(1, 1), dataset.validation(), dataset.test())
    assert all(len(batch.x_NTI) >= 1 for batch in splits)
    with pytest.raises(DatasetInvalidError, match=f"needs {needed} characters"):
        make_next_token(spec, _table(_drawn_text(needed - 1)), 0)


@pytest.mark.parametrize(
    ("make_table", "message"),
    [
        (lambda: pa.table({"words": ["a"]}), "no column 'text'"),
        (lambda: pa.table({"text": [1] * 100}), "'text' is not text"),
        (lambda: pa.table({"text": ["ab" * 100, None]}), "1 missing"),
        (lambda: _table("a" * 200), "single character"),
        (lambda: pa.table({"text": pa.array([], pa.string())}), "there are 0"),
    ],
)
def test_column_that_is_no_text_to_learn_is_refused(
    make_table: Callable[[], pa.Table], message: str
) -> None:
    """The sentence says what is wrong."""
    with pytest.raises(DatasetInvalidError, match=message):
        make_next_token(SPEC, make_table(), 0)


def test_windows_are_drawn_by_seed_and_step_alone() -> None:
    """Step 2 is the same with and without step 1, and another seed has other batches."""
    dataset_id = "ds_" + "0" * 26
    upload = Upload(kind="upload", dataset_id=dataset_id, task=SPEC)
    tables = {dataset_id: _table(_drawn_text(200))}
    one, other = (open_dataset(upload, seed, tables.__getitem__) for seed in (0, 1))
    again = open_dataset(upload, 0, tables.__getitem__)
    one.batch(1, 8)

    np.testing.assert_array_equal(one.batch(2, 8).target, again.batch(2, 8).target)
    assert not np.array_equal(one.batch(2, 8).target, other.batch(2, 8).target)
