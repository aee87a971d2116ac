"""What can be learned from uploaded data."""

from typing import Annotated, Final, Literal

from pydantic import Field

from contract.spec.model import Integer, SpecModel, Text

SeqLen = Annotated[Integer, Field(ge=2, le=10_000)]
ColumnName = Annotated[Text, Field(min_length=1, max_length=200)]

# How uploaded data is split, in percent; what is between is for validation.
TRAIN_PERCENT: Final = 70
TEST_PERCENT: Final = 15
MAX_CLASSES: Final = 256
"""Most classes of a label, and most characters that a network tells apart."""


class Forecast(SpecModel):
    """Predict the next `horizon` values of `target` from the last `seq_len` rows of `inputs`."""

    kind: Literal["forecast"]
    target: ColumnName
    """The numeric column to predict."""
    inputs: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=256)]
    """The numeric columns the network sees, the target's own past among them if wished."""
    seq_len: SeqLen
    """Rows in one window."""
    horizon: Annotated[Integer, Field(ge=1, le=1_000)] = 1
    """How many values after the window are predicted."""
    series_id: ColumnName | None = None
    """Column that tells several series apart; null if the file is one series."""
    time: ColumnName | None = None
    """Column to order rows by; null if they are in order already."""


class Classify(SpecModel):
    """Name the `label` of a whole sequence of rows after its last one.

    Rows with the same `sequence_id` are one sequence. Shorter ones are preceded by zeros up to the
    longest one's length, so that the last step is the last row. 70 % of the sequences are for
    training, 15 % for the test, in the order of a hash of their ids.
    """

    kind: Literal["classify"]
    sequence_id: ColumnName
    """Column that tells the sequences apart."""
    time: ColumnName
    """Column to order the rows of a sequence by."""
    inputs: Annotated[tuple[ColumnName, ...], Field(min_length=1, max_length=256)]
    """The numeric columns the network sees."""
    label: ColumnName
    """Column of text, integers or booleans with one value a sequence, the class."""
    max_seq_len: SeqLen = 1_000
    """Rows the longest sequence may have; a longer one is refused."""


class NextToken(SpecModel):
    """Predict each next character of a text from those before it.

    A token is a character: one of the 256 most frequent of the training part, or the one that
    stands for every other. The first 70 % of the text are for training, the last 15 % for the test.
    """

    kind: Literal["next_token"]
    seq_len: SeqLen = 100
    """Characters in one window; after each the next one is predicted."""
    column: ColumnName = "text"
    """Column of text whose rows make up the text, one after the other; `text` in a plain text."""


UploadTask = Annotated[Forecast | Classify | NextToken, Field(discriminator="kind")]


def rows_needed(seq_len: int, horizon: int) -> int:
    """Fewest rows of a series that give each of the three splits a window of a forecast."""
    training = -(-100 * (seq_len + horizon) // TRAIN_PERCENT)
    testing = -(-100 * horizon // TEST_PERCENT)
    return max(training, testing)


def sequences_needed() -> int:
    """Fewest sequences that give each of the three splits one."""
    return -(-100 // TEST_PERCENT)


def characters_needed(seq_len: int) -> int:
    """Fewest characters that give each of the three splits a window with its next character."""
    return -(-100 * (seq_len + 1) // TEST_PERCENT)
