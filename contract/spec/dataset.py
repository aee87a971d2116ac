"""The sequences a job trains on: generated tasks and uploaded data."""

from typing import Annotated, Literal

from pydantic import Field

from contract.spec.model import Integer, SpecModel, Text
from contract.spec.upload_task import SeqLen, UploadTask


class Adding(SpecModel):
    """Add the two marked values of a sequence of random numbers.

    Source: Hochreiter & Schmidhuber 1997; the form of Arjovsky et al. 2016.
    """

    kind: Literal["adding"]
    seq_len: SeqLen = 100
    """Steps of one sequence; one marker lies in each half."""


class DelayedRecall(SpecModel):
    """Name, at the last step, the symbol that was shown at the first.

    Source: the copy task of Hochreiter & Schmidhuber 1997 with one symbol.
    """

    kind: Literal["delayed_recall"]
    seq_len: SeqLen = 25
    """Steps of one sequence; the lag to bridge is `seq_len - 1`."""
    num_symbols: Annotated[Integer, Field(ge=2, le=64)] = 8
    """How many symbols there are to tell apart."""


class TemporalOrder(SpecModel):
    """Say in which order two marked symbols came, among distractors: four classes.

    Source: Hochreiter & Schmidhuber 1997, task 6a; positions as in Pascanu et al. 2013.
    """

    kind: Literal["temporal_order"]
    seq_len: Annotated[Integer, Field(ge=10, le=10_000)] = 30
    """Steps of one sequence; the symbols lie in its second and its sixth tenth."""


class SubjectRecall(SpecModel):
    """Answer what a sentence was about after `gap` words of something else.

    "the iphone is superb . <gap words> what was it ?" — iphone. A fresh sentence each time,
    from a small vocabulary of real words.
    """

    kind: Literal["subject_recall"]
    gap: Annotated[Integer, Field(ge=0, le=9_000)] = 5
    """Filler words between the sentence with the subject and the question."""


class CopyMemory(SpecModel):
    """Repeat a row of symbols after a pause of `lag` steps; an answer is due after every step.

    Source: Arjovsky et al. 2016, after Hochreiter & Schmidhuber 1997.
    """

    kind: Literal["copy_memory"]
    lag: Annotated[Integer, Field(ge=1, le=9_000)] = 50
    """Steps from the last symbol to the delimiter, T in the literature."""
    num_symbols: Annotated[Integer, Field(ge=2, le=64)] = 8
    """How many symbols there are to tell apart."""
    num_values: Annotated[Integer, Field(ge=1, le=500)] = 10
    """How many are to be copied; a sequence has `lag + 2 * num_values` steps."""


class MackeyGlass(SpecModel):
    """Predict the chaotic Mackey-Glass series, a new one for each seed, `horizon` steps ahead.

    Source: Mackey & Glass 1977; 15 steps ahead as in Voelker et al. 2019.
    """

    kind: Literal["mackey_glass"]
    seq_len: Annotated[Integer, Field(ge=2, le=1_000)] = 100
    """Values in one window, one unit of time apart."""
    horizon: Annotated[Integer, Field(ge=1, le=100)] = 15
    """Steps from the last value seen to the one predicted."""
    tau: Annotated[Integer, Field(ge=10, le=100)] = 17
    """Delay of the equation; from 17 on the series is chaotic, below it is periodic."""


class SequentialDigits(SpecModel):
    """Name a handwritten digit after seeing its 64 pixels one by one.

    Source: Alpaydin & Kaynak 1998, scikit-learn's part; one pixel a step as in Le et al. 2015.
    """

    kind: Literal["sequential_digits"]
    permute: Annotated[bool, Field(strict=True)] = False
    """Whether the pixels come in one fixed random order instead of row by row."""


class Upload(SpecModel):
    """An uploaded dataset and what to learn from it."""

    kind: Literal["upload"]
    dataset_id: Annotated[Text, Field(pattern=r"^ds_[0-9a-z]{26}$")]
    """The id that `POST /v1/datasets` answered."""
    task: UploadTask
    """What to learn from it."""


Dataset = Annotated[
    Adding
    | DelayedRecall
    | TemporalOrder
    | SubjectRecall
    | CopyMemory
    | MackeyGlass
    | SequentialDigits
    | Upload,
    Field(discriminator="kind"),
]
