"""The words and sentences of subject recall.

Templates are plain sentences in which `a|b` is a choice; every choice is spelled out once, at
import, so that drawing a sentence is drawing numbers.
"""

from itertools import product

SUBJECTS = ("iphone", "laptop", "camera", "tablet", "printer", "speaker", "watch", "headset")
"""What a sentence can be about."""

OPENING = ("the", SUBJECTS[0], "is", "superb", ".")
"""The sentence with the subject, here the first of them."""

SUBJECT_POSITION = 1
"""Where in the opening the subject stands."""

QUESTION = ("what", "was", "it", "?")
"""The last words of every sequence; the answer is due after them."""

CLAUSE_WORDS = 6
"""Words of one clause of the filler, the conjunction or full stop after it among them."""


def _spelled_out(template: str) -> list[tuple[str, ...]]:
    return list(product(*(choice.split("|") for choice in template.split())))


CLAUSES = tuple(
    words
    for template in (
        "i bought it last year|month|week|summer and|but|.",
        "my friend|brother|sister|boss has one too and|but|.",
        "we use it every day|week|month and|but|.",
        "the box|screen|cable|case came in white|black|red and|but|.",
        "it was not very cheap|light|quiet|small and|but|.",
        "i found it rather|quite cheap|light|quiet|small and|but|.",
    )
    for words in _spelled_out(template)
)
"""Clauses of CLAUSE_WORDS words that can follow one another in any order."""

ENDINGS = {
    1: _spelled_out("honestly|indeed"),
    2: _spelled_out("honestly|indeed ."),
    3: _spelled_out("i|we agree ."),
    4: _spelled_out("i|we bought|found|use it ."),
    5: _spelled_out("my friend|brother|sister|boss has one .")
    + _spelled_out("it was very|rather|quite cheap|light|quiet|small ."),
    6: _spelled_out("i|we bought|found it last year|month|week|summer ."),
}
"""Closing words of the filler, by how many words are left to fill."""


def _all_words() -> tuple[str, ...]:
    sentences = [OPENING, QUESTION, *CLAUSES, *(ending for n in ENDINGS for ending in ENDINGS[n])]
    others = {word for sentence in sentences for word in sentence} - set(SUBJECTS)
    return SUBJECTS + tuple(sorted(others))


VOCABULARY = _all_words()
"""Every word there is; a word's place is its number, the subjects first."""
