"""The length that a spec is judged by, against that of the sequences themselves."""

import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from contract.spec import Dataset, sequence_length
from worker.datasets.registry import open_dataset


def no_table(dataset_id: str) -> pa.Table:
    """Nothing here is uploaded."""
    raise AssertionError(dataset_id)


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "adding", "seq_len": 17},
        {"kind": "delayed_recall", "seq_len": 17},
        {"kind": "temporal_order", "seq_len": 17},
        {"kind": "subject_recall", "gap": 17},
        {"kind": "copy_memory", "lag": 17, "num_values": 3},
        {"kind": "mackey_glass", "seq_len": 17},
        {"kind": "sequential_digits"},
    ],
    ids=lambda document: document["kind"],
)
def test_spec_knows_how_long_its_sequences_are(document: dict[str, object]) -> None:
    """What the spec says is what the worker draws."""
    spec: Dataset = TypeAdapter(Dataset).validate_python(document)

    assert open_dataset(spec, 0, no_table).task.seq_len == sequence_length(spec)
