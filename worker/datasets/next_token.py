"""Predicting a text character by character, at every step the next one.

Shapes: N windows, T characters of a window (seq_len), R characters of the text, V tokens that are
told apart, P positions, each a window's first character.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.spec import NextToken
from contract.spec.upload_task import MAX_CLASSES, TEST_PERCENT, TRAIN_PERCENT, characters_needed
from worker.datasets.columns import check_present
from worker.datasets.draws import draws
from worker.datasets.generated import HELD_OUT_SEQUENCES, one_hot, sequences_held_out
from worker.datasets.task import Batch, DatasetInvalidError, Task
from worker.datasets.windows import Positions, thinned

_CODE_POINTS = 0x110000
_COUNTED_AT_ONCE = 2**20

CodePoints = NDArray[np.uint32]
Tokens = NDArray[np.uint16]


@dataclass(frozen=True)
class NextTokenDataset:
    """Windows of a text; those for training begin anywhere, the others follow one another."""

    task: Task
    seed: int
    token_R: Tokens
    num_train: int
    """Positions at which a training window can begin, from 0 on."""
    validation_P: Positions
    test_P: Positions

    def batch(self, step: int, size: int) -> Batch:
        """Training batch of one step (counted from 1): `size` windows."""
        return self._windows(draws(self.seed, "train", step).integers(0, self.num_train, size))

    def validation(self) -> Batch:
        """Windows of the validation part, evenly thinned out to 2,048 at most."""
        return self._windows(self.validation_P)

    def test(self) -> Batch:
        """Windows of the test part: all of them, unless they would not fit into memory."""
        return self._windows(self.test_P)

    def _windows(self, position_N: Positions) -> Batch:
        token_NT = self.token_R[position_N[:, np.newaxis] + np.arange(self.task.seq_len + 1)]
        token_NT = token_NT.astype(np.int64)
        return Batch(one_hot(token_NT[:, :-1], self.task.input_size), token_NT[:, 1:])


def make_next_token(spec: NextToken, table: pa.Table, seed: int) -> NextTokenDataset:
    """Split a text by position, number its characters, and cut it into windows.

    The first 70 % of the characters are for training, the last 15 % for the test (rounded down);
    a window and the character after it lie in one part. Tokens are the training part's characters
    in the order of their code points, the 256 most frequent if there are more, and a last one for
    every other character. The baseline is the cross entropy, on the test windows' targets, of
    always answering with the tokens' frequencies in the training part, the last one counted at
    least once.

    Raises:
        DatasetInvalidError: if the column is no text or too short; the message says how.
    """
    code_R = _code_points(spec, table)
    train_end = len(code_R) * TRAIN_PERCENT // 100
    test_start = len(code_R) - len(code_R) * TEST_PERCENT // 100
    characters = _characters(code_R[:train_end])
    token_R = _tokens(code_R, characters)
    size = len(characters) + 1
    fitting = sequences_held_out(spec.seq_len * size)
    validation_P = np.arange(train_end, test_start - spec.seq_len, spec.seq_len)
    test_P = thinned(np.arange(test_start, len(code_R) - spec.seq_len, spec.seq_len), fitting)
    asked_R = token_R[test_P[:, np.newaxis] + 1 + np.arange(spec.seq_len)].ravel()
    baseline = _unigram_loss(token_R[:train_end], asked_R, size)
    task = Task(
        loss="cross_entropy",
        input_size=size,
        output_size=size,
        seq_len=spec.seq_len,
        dependency=None,
        baseline=baseline,
        learned_below=baseline,
        target_steps=spec.seq_len,
    )
    return NextTokenDataset(
        task,
        seed,
        token_R,
        train_end - spec.seq_len,
        thinned(validation_P, min(fitting, HELD_OUT_SEQUENCES)),
        test_P,
    )


def _code_points(spec: NextToken, table: pa.Table) -> CodePoints:
    """The rows of the column, one after the other, as Unicode code points."""
    check_present(table, spec.column)
    column = table.column(spec.column)
    if not pa.types.is_string(column.type):
        raise DatasetInvalidError(f"Column {spec.column!r} is not text.")
    # A column that was checked to be text without missing values.
    chunks = (cast("list[str]", chunk.to_pylist()) for chunk in column.chunks)
    pieces = ["".join(rows).encode("utf-32-le") for rows in chunks]
    code_R = np.frombuffer(b"".join(pieces), dtype="<u4")
    needed = characters_needed(spec.seq_len)
    if len(code_R) < needed:
        raise DatasetInvalidError(
            f"Too short a text: seq_len {spec.seq_len} needs {needed} characters, there are "
            f"{len(code_R)}."
        )
    return code_R


def _characters(code_R: CodePoints) -> CodePoints:
    """The characters that are told apart, in the order of their code points."""
    counts = np.zeros(_CODE_POINTS, dtype=np.int64)
    for start in range(0, len(code_R), _COUNTED_AT_ONCE):
        counts += np.bincount(code_R[start : start + _COUNTED_AT_ONCE], minlength=_CODE_POINTS)
    # Stable, so that of equally frequent ones the first in Unicode are kept.
    frequent = np.argsort(-counts, kind="stable")[:MAX_CLASSES]
    characters = np.sort(frequent[counts[frequent] > 0]).astype(np.uint32)
    if len(characters) == 1:
        raise DatasetInvalidError("The text repeats a single character: nothing can be learned.")
    return characters


def _tokens(code_R: CodePoints, characters: CodePoints) -> Tokens:
    """The number of each character; those that are not told apart share the last."""
    token_of = np.full(_CODE_POINTS, len(characters), dtype=np.uint16)
    token_of[characters] = np.arange(len(characters), dtype=np.uint16)
    return token_of[code_R]


def _unigram_loss(train_R: Tokens, asked_R: Tokens, size: int) -> float:
    counts_V = np.bincount(train_R, minlength=size)
    # A character that was never seen would cost infinitely much.
    counts_V[-1] = max(1, counts_V[-1])
    asked_V = np.bincount(asked_R, minlength=size)
    surprise_V = -np.log(counts_V / counts_V.sum())
    return float((asked_V * surprise_V).sum() / asked_V.sum())
