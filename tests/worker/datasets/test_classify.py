"""Classifying sequences: splits by sequence, padding, scaling and the baseline."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from contract.spec import Classify, Upload
from worker.datasets.classify import ClassifyDataset, make_classify
from worker.datasets.registry import open_dataset
from worker.datasets.task import DatasetInvalidError

CLASSIFY = Classify(kind="classify", sequence_id="id", time="t", inputs=("x",), label="y")


def _table(num_sequences: int = 40, rows: int = 3) -> pa.Table:
    """Sequences s0, s1, ... of classes a and b in turn; x is the sequence's number plus 1."""
    number_R = np.repeat(np.arange(num_sequences), rows)
    return pa.table(
        {
            "id": [f"s{number}" for number in number_R],
            "t": np.tile(np.arange(rows), num_sequences),
            "x": number_R + 1.0,
            "y": ["ab"[number % 2] for number in number_R],
        }
    )


def _with(**changes: object) -> Classify:
    return Classify.model_validate(CLASSIFY.model_dump() | changes)


def _seen(dataset: ClassifyDataset, x_NTI: np.ndarray) -> set[int]:
    """The numbers of the sequences whose last row is seen, found by their scaled value."""
    scaled = dataset.inputs_RI[dataset.edges[1:] - 1, 0].tolist()
    return {scaled.index(value) for value in x_NTI[:, -1, 0].tolist()}


def test_sequences_are_split_70_15_15_without_overlap() -> None:
    """Of 40 sequences 28 are for training, 6 for validation, 6 for the test."""
    dataset = make_classify(CLASSIFY, _table(), 0)
    parts = [
        _seen(dataset, dataset.batch(1, 2_000).x_NTI),
        _seen(dataset, dataset.validation().x_NTI),
        _seen(dataset, dataset.test().x_NTI),
    ]

    assert [len(part) for part in parts] == [28, 6, 6]
    assert set.union(*parts) == set(range(40))


def test_split_depends_on_the_ids_alone() -> None:
    """Shuffled rows and another seed give the same test sequences."""
    table = _table()
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    one, two = make_classify(CLASSIFY, table, 0), make_classify(CLASSIFY, shuffled, 9)

    np.testing.assert_array_equal(one.test().x_NTI, two.test().x_NTI)
    np.testing.assert_array_equal(one.test().target, two.test().target)


def test_shorter_sequences_are_preceded_by_zeros() -> None:
    """By hand: lengths 1 to 10, the last step is the last row, and only zeros come before."""
    lengths = np.tile(np.arange(1, 11), 4)
    number_R = np.repeat(np.arange(40), lengths)
    time_R = np.concatenate([np.arange(length) for length in lengths])
    table = pa.table(
        {
            "id": number_R,
            "t": time_R,
            "x": 100.0 * number_R + time_R + 1,
            "y": number_R % 2 == 0,
        }
    )
    dataset = make_classify(CLASSIFY, table, 0)
    test = dataset.test()

    assert dataset.task.seq_len == 10
    for number, x_T in zip(dataset.test_Q, test.x_NTI[:, :, 0], strict=True):
        rows_T = dataset.inputs_RI[dataset.edges[number] : dataset.edges[number + 1], 0]
        assert x_T.tolist() == [0.0] * (10 - lengths[number]) + rows_T.tolist()
        assert len(rows_T) == lengths[number]


def test_rows_of_a_sequence_are_put_in_the_order_of_time() -> None:
    """Whatever their order in the file, the latest row comes last."""
    table = _table().set_column(2, "x", pa.array(np.tile([3.0, 1.0, 2.0], 40)))
    table = table.set_column(1, "t", pa.array(np.tile([2, 0, 1], 40)))
    x_NT = make_classify(CLASSIFY, table, 0).test().x_NTI[:, :, 0]

    assert (np.diff(x_NT, axis=1) > 0).all()


def test_inputs_are_scaled_by_the_rows_of_training_sequences_alone() -> None:
    """Training rows have mean 0 and deviation 1, whatever the others hold."""
    plain = make_classify(CLASSIFY, _table(), 0)
    held_out = np.isin(np.repeat(np.arange(40), 3), plain.train_Q, invert=True)
    # The table is in the order of its ids as text, so are the numbers of the sequences.
    table = _table().sort_by("id")
    values = np.asarray(table.column("x")) + np.where(held_out, 1e4, 0)
    dataset = make_classify(CLASSIFY, table.set_column(2, "x", pa.array(values)), 0)

    train_R = np.asarray(table.column("x"))[~held_out]
    np.testing.assert_allclose(
        dataset.inputs_RI[:, 0], (values - train_R.mean()) / train_R.std(), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [(["no", "yes"], [0, 1]), ([12, 7], [1, 0]), ([True, False], [1, 0])],
)
def test_classes_are_the_sorted_labels(labels: list[object], expected: list[int]) -> None:
    """Text, integers and booleans are classes, numbered in their order."""
    label_R = [labels[number % 2] for number in np.repeat(np.arange(40), 3)]
    table = (
        _table()
        .set_column(3, "y", pa.array(label_R))
        .set_column(0, "id", pa.array(np.repeat(np.arange(40), 3)))
    )
    dataset = make_classify(CLASSIFY, table, 0)

    assert dataset.class_Q.tolist() == expected * 20


def test_baseline_is_the_loss_of_answering_the_training_shares() -> None:
    """Worked out by hand from the counts of the splits."""
    table = _table().sort_by("id")
    label_R = ["c" if number % 4 else "d" for number in np.repeat(np.arange(40), 3)]
    dataset = make_classify(CLASSIFY, table.set_column(3, "y", pa.array(label_R)), 0)
    train = Counter(dataset.class_Q[dataset.train_Q].tolist())
    tested = dataset.test().target[:, 0].tolist()

    expected = -np.mean([np.log(train[number] / 28) for number in tested])
    assert dataset.task.baseline == pytest.approx(expected)
    assert (dataset.task.learned_below, dataset.task.output_size) == (dataset.task.baseline, 2)


@pytest.mark.parametrize("num_sequences", [7, 8, 13, 14, 20, 60])
def test_seven_sequences_are_enough_for_every_split(num_sequences: int) -> None:
    """Every split has at least one sequence."""
    dataset = make_classify(CLASSIFY, _table(num_sequences), 0)

    assert min(len(dataset.train_Q), len(dataset.validation_Q), len(dataset.test_Q)) >= 1


def _labelled(labels: list[object]) -> pa.Table:
    return _table().set_column(3, "y", pa.array(labels))


@pytest.mark.parametrize(
    ("changes", "make_table", "message"),
    [
        ({"sequence_id": "z"}, _table, "no column 'z'"),
        ({"time": "z"}, _table, "no column 'z'"),
        ({"inputs": ("x", "z")}, _table, "no column 'z'"),
        ({"label": "z"}, _table, "no column 'z'"),
        ({"inputs": ("y",)}, _table, "Column 'y' is not numeric"),
        ({"label": "x"}, _table, "'x' holds neither text, integer nor boolean"),
        ({"max_seq_len": 2}, _table, r"has 3 rows; at most 2 are taken \(max_seq_len\)"),
        ({}, lambda: _table(6), "Too few sequences: at least 7"),
        ({}, lambda: _table(0), "Too few sequences"),
        ({}, lambda: _labelled(["a"] * 120), "'y' has 1 classes"),
        ({}, lambda: _labelled([f"c{at // 3}" for at in range(120)]), "None of the 28 training"),
        ({}, lambda: _labelled([["a", "b", "b"][at % 3] for at in range(120)]), "more than one"),
        ({}, lambda: _labelled([None] + ["a"] * 119), "'y' has 1 missing"),
        (
            {},
            lambda: _table().set_column(1, "t", pa.array([0] * 120)),
            "Column 't' has 0 more than once",
        ),
        ({}, lambda: _table().set_column(2, "x", pa.array([1e300, -1e300] * 60)), "too large"),
        (
            {},
            lambda: _table(300).set_column(3, "y", pa.array([f"c{at // 3}" for at in range(900)])),
            "has 300 classes; from 2 to 256",
        ),
    ],
)
def test_sequences_that_do_not_fit_are_refused_with_the_reason(
    changes: dict[str, object], make_table: Callable[[], pa.Table], message: str
) -> None:
    """The sentence names the column and what is wrong with it."""
    with pytest.raises(DatasetInvalidError, match=message):
        make_classify(_with(**changes), make_table(), 0)


def test_batches_are_drawn_by_seed_and_step_alone() -> None:
    """Step 2 is the same with and without step 1, and another seed has other batches."""
    dataset_id = "ds_" + "0" * 26
    upload = Upload(kind="upload", dataset_id=dataset_id, task=CLASSIFY)
    tables = {dataset_id: _table()}
    one, other = (open_dataset(upload, seed, tables.__getitem__) for seed in (0, 1))
    again = open_dataset(upload, 0, tables.__getitem__)
    one.batch(1, 8)

    np.testing.assert_array_equal(one.batch(2, 8).x_NTI, again.batch(2, 8).x_NTI)
    assert not np.array_equal(one.batch(2, 8).x_NTI, other.batch(2, 8).x_NTI)
