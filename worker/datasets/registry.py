"""Opens the dataset that a spec names."""

from collections.abc import Callable

import pyarrow as pa

from contract.spec import Adding, DelayedRecall, SubjectRecall, TemporalOrder, Upload
from contract.spec import Dataset as DatasetSpec
from worker.datasets.adding import make_adding
from worker.datasets.delayed_recall import make_delayed_recall
from worker.datasets.forecast import make_forecast
from worker.datasets.subject_recall import make_subject_recall
from worker.datasets.task import Dataset
from worker.datasets.temporal_order import make_temporal_order


def open_dataset(spec: DatasetSpec, seed: int, read_table: Callable[[str], pa.Table]) -> Dataset:
    """The dataset of a spec, ready to give batches.

    Args:
        spec: the `dataset` of a job spec.
        seed: of everything that is drawn at random, from 0 to 2^64 - 1.
        read_table: gives an uploaded table by its dataset id; asked for uploads only.

    Raises:
        DatasetInvalidError: the uploaded table cannot be trained on as asked.
    """
    match spec:
        case Adding():
            return make_adding(spec, seed)
        case DelayedRecall():
            return make_delayed_recall(spec, seed)
        case TemporalOrder():
            return make_temporal_order(spec, seed)
        case SubjectRecall():
            return make_subject_recall(spec, seed)
        case Upload():
            return make_forecast(spec.task, seed, read_table(spec.dataset_id))
