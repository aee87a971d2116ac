"""Subject recall: after a lot of talk, say what the first sentence was about.

Shapes: N sequences, T = 9 + gap time steps (words), I input features (the vocabulary, one-hot).
G is the gap, C the clauses of a filler, L the words of one piece of it.
"""

import math

import numpy as np
from numpy.typing import NDArray

from contract.spec import SubjectRecall
from worker.datasets.generated import GeneratedDataset, one_hot
from worker.datasets.sentences import (
    CLAUSE_WORDS,
    CLAUSES,
    ENDINGS,
    OPENING,
    QUESTION,
    SUBJECT_POSITION,
    SUBJECTS,
    VOCABULARY,
)
from worker.datasets.task import Batch, Floats, Task

_NUMBER_OF_WORD = {word: number for number, word in enumerate(VOCABULARY)}
_BASELINE = math.log(len(SUBJECTS))

Words = NDArray[np.int64]


def make_subject_recall(spec: SubjectRecall, seed: int) -> GeneratedDataset:
    """Sentences "the <subject> is superb . <gap words> what was it ?"; the target is the subject.

    The gap is filled with clauses of six words drawn at random and an ending that makes up the
    exact number of words. Uniform guessing gives the baseline ln 8; learned is half of that. The
    dependency runs from the subject to the last word: gap + 7.

    Source:
        This project's own; the question put to a language model by Elman, "Finding structure in
        time", Cognitive Science 14 (1990), made into one answer after one subject.
    """
    seq_len = len(OPENING) + spec.gap + len(QUESTION)
    task = Task(
        loss="cross_entropy",
        input_size=len(VOCABULARY),
        output_size=len(SUBJECTS),
        seq_len=seq_len,
        dependency=seq_len - 1 - SUBJECT_POSITION,
        baseline=_BASELINE,
        learned_below=_BASELINE / 2,
    )
    return GeneratedDataset(task, seed, lambda generator, size: _draw(generator, size, spec.gap))


def words(x_NTI: Floats) -> list[str]:
    """The sentences behind one-hot inputs, for people to read."""
    return [" ".join(VOCABULARY[word] for word in word_T) for word_T in x_NTI.argmax(axis=2)]


def _numbers(sentences: list[tuple[str, ...]] | tuple[tuple[str, ...], ...]) -> Words:
    return np.array([[_NUMBER_OF_WORD[word] for word in sentence] for sentence in sentences])


_OPENING = _numbers([OPENING])
_QUESTION = _numbers([QUESTION])
_CLAUSES = _numbers(CLAUSES)
_ENDINGS = {length: _numbers(endings) for length, endings in ENDINGS.items()}


def _draw(generator: np.random.Generator, size: int, gap: int) -> Batch:
    subject_N = generator.integers(0, len(SUBJECTS), size)
    opening_NL = _OPENING.repeat(size, axis=0)
    opening_NL[:, SUBJECT_POSITION] = subject_N  # the subjects are the vocabulary's first words
    filler_NG = _filler(generator, size, gap)
    word_NT = np.concatenate([opening_NL, filler_NG, _QUESTION.repeat(size, axis=0)], axis=1)
    return Batch(one_hot(word_NT, len(VOCABULARY)), subject_N[:, np.newaxis])


def _filler(generator: np.random.Generator, size: int, gap: int) -> Words:
    if gap == 0:
        return np.empty((size, 0), dtype=np.int64)
    # At least one word is left for the ending, so that the filler never stops at a conjunction.
    num_clauses = (gap - 1) // CLAUSE_WORDS
    clause_NC = generator.integers(0, len(_CLAUSES), (size, num_clauses))
    clauses_NL = _CLAUSES[clause_NC].reshape(size, num_clauses * CLAUSE_WORDS)
    endings = _ENDINGS[gap - num_clauses * CLAUSE_WORDS]
    return np.concatenate([clauses_NL, endings[generator.integers(0, len(endings), size)]], axis=1)
