"""How many time steps the sequences of a dataset have."""

from typing import Final

from contract.spec.dataset import CopyMemory, Dataset, SequentialDigits, SubjectRecall, Upload
from contract.spec.upload_task import Classify

#: The words of subject recall besides those of its gap.
SENTENCE_WORDS: Final = 9
DIGIT_PIXELS: Final = 64


def sequence_length(dataset: Dataset) -> int:
    """Time steps of one sequence; of sequences to classify, the most there may be."""
    match dataset:
        case SubjectRecall():
            return SENTENCE_WORDS + dataset.gap
        case CopyMemory():
            return dataset.lag + 2 * dataset.num_values
        case SequentialDigits():
            return DIGIT_PIXELS
        case Upload():
            task = dataset.task
            return task.max_seq_len if isinstance(task, Classify) else task.seq_len
        case _:
            return dataset.seq_len
