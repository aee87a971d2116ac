"""From a dataset's spec to the dataset."""

from collections.abc import Callable
from typing import assert_never

import pyarrow as pa

from contract import spec
from worker.datasets.adding import make_adding
from worker.datasets.classify import make_classify
from worker.datasets.copy_memory import make_copy_memory
from worker.datasets.delayed_recall import make_delayed_recall
from worker.datasets.forecast import make_forecast
from worker.datasets.mackey_glass import make_mackey_glass
from worker.datasets.next_token import make_next_token
from worker.datasets.sequential_digits import make_sequential_digits
from worker.datasets.subject_recall import make_subject_recall
from worker.datasets.task import Dataset
from worker.datasets.temporal_order import make_temporal_order


def open_dataset(  # noqa: PLR0911 - one return a kind
    dataset: spec.Dataset, seed: int, read_table: Callable[[str], pa.Table]
) -> Dataset:
    """The dataset a spec describes.

    Args:
        dataset: the spec.
        seed: of all its random numbers, from 0 to 2^64 - 1.
        read_table: reads an uploaded table by its dataset id; called for uploads only.

    Raises:
        DatasetInvalidError: if an uploaded table does not fit what is to be learned from it.
    """
    match dataset:
        case spec.Adding():
            return make_adding(dataset, seed)
        case spec.DelayedRecall():
            return make_delayed_recall(dataset, seed)
        case spec.TemporalOrder():
            return make_temporal_order(dataset, seed)
        case spec.SubjectRecall():
            return make_subject_recall(dataset, seed)
        case spec.CopyMemory():
            return make_copy_memory(dataset, seed)
        case spec.MackeyGlass():
            return make_mackey_glass(dataset, seed)
        case spec.SequentialDigits():
            return make_sequential_digits(dataset, seed)
        case spec.Upload():
            return _open_upload(dataset.task, read_table(dataset.dataset_id), seed)
        case unknown:
            assert_never(unknown)


def _open_upload(task: spec.UploadTask, table: pa.Table, seed: int) -> Dataset:
    match task:
        case spec.Forecast():
            return make_forecast(task, table, seed)
        case spec.Classify():
            return make_classify(task, table, seed)
        case spec.NextToken():
            return make_next_token(task, table, seed)
        case _:
            assert_never(task)
