"""The sentences of subject recall."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.spec import SubjectRecall
from worker.datasets.sentences import CLAUSE_WORDS, CLAUSES, ENDINGS, SUBJECTS, VOCABULARY
from worker.datasets.subject_recall import make_subject_recall, words


def _sentences(gap: int, seed: int = 0) -> tuple[list[str], list[int]]:
    batch = make_subject_recall(SubjectRecall(kind="subject_recall", gap=gap), seed).batch(1, 32)
    return words(batch.x_NTI), batch.target[:, 0].tolist()


@given(gap=st.integers(0, 100), seed=st.integers(0, 2**63 - 1))
def test_exactly_gap_words_lie_between_the_subject_sentence_and_the_question(
    gap: int, seed: int
) -> None:
    """Every sentence opens with its subject, closes with the question, and has the gap between."""
    for sentence, target in zip(*_sentences(gap, seed), strict=True):
        word = sentence.split(" ")
        assert word[:5] == ["the", SUBJECTS[target], "is", "superb", "."]
        assert word[-4:] == ["what", "was", "it", "?"]
        assert len(word) == 5 + gap + 4


@pytest.mark.parametrize("gap", [1, 5, 60])
def test_the_subject_is_named_nowhere_but_in_the_first_sentence(gap: int) -> None:
    """The filler gives nothing away."""
    for sentence in _sentences(gap)[0]:
        assert not set(sentence.split()[2:]) & set(SUBJECTS)


@pytest.mark.parametrize("gap", range(1, 14))
def test_the_filler_is_never_cut_off_within_a_clause(gap: int) -> None:
    """It ends with a full stop, or with the one word that leads over to the question."""
    for sentence in _sentences(gap)[0]:
        assert sentence.split()[4 + gap] in {".", "honestly", "indeed"}


def test_fillers_vary_from_sentence_to_sentence() -> None:
    """Sixty words of filler are hardly ever the same twice."""
    fillers = {sentence.split(".", 1)[1] for sentence in _sentences(60)[0]}

    assert len(fillers) == 32


def test_each_piece_of_filler_has_the_number_of_words_it_is_filed_under() -> None:
    """Clauses have six words; an ending of n words has n."""
    assert {len(clause) for clause in CLAUSES} == {CLAUSE_WORDS}
    assert all({len(ending) for ending in ENDINGS[count]} == {count} for count in ENDINGS)
    assert set(ENDINGS) == set(range(1, CLAUSE_WORDS + 1))


def test_words_are_one_hot_over_the_vocabulary() -> None:
    """Each word is one number of the vocabulary, and no word is in it twice."""
    spec = SubjectRecall(kind="subject_recall", gap=5)
    x_NTI = make_subject_recall(spec, 0).batch(1, 8).x_NTI

    assert x_NTI.shape[2] == len(VOCABULARY) == len(set(VOCABULARY))
    np.testing.assert_array_equal(np.sort(x_NTI, axis=2)[:, :, -2:], [[[0, 1]] * 14] * 8)
