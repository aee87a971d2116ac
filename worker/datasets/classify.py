"""Classifying the sequences of an uploaded table: from all rows of one to its label.

Shapes: N sequences of a batch, T rows of the longest sequence, I input columns, R rows of all
sequences, Q sequences of the table, C classes.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from contract.spec import Classify
from contract.spec.upload_task import MAX_CLASSES, TEST_PERCENT, TRAIN_PERCENT, sequences_needed
from worker.datasets.columns import check_present, in_order, numbers
from worker.datasets.draws import draws
from worker.datasets.generated import HELD_OUT_SEQUENCES, sequences_held_out
from worker.datasets.task import Batch, DatasetInvalidError, Floats, Task
from worker.datasets.windows import scaled, thinned

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class _Sequences:
    """The rows of all sequences, one sequence after the other, and what each is called."""

    inputs_RI: NDArray[np.float64]
    edges: Numbers
    """First row of each sequence, then the number of rows."""
    ids: list[object]
    classes: list[object]
    """The labels there are, sorted."""
    class_Q: Numbers

    @property
    def lengths(self) -> Numbers:
        """Rows of each sequence."""
        return np.diff(self.edges)


@dataclass(frozen=True)
class ClassifyDataset:
    """Sequences of a table; those for training are drawn at random, with replacement."""

    task: Task
    seed: int
    inputs_RI: Floats
    edges: Numbers
    class_Q: Numbers
    train_Q: Numbers
    validation_Q: Numbers
    test_Q: Numbers

    def batch(self, step: int, size: int) -> Batch:
        """Training batch of one step (counted from 1): `size` sequences."""
        drawn_N = draws(self.seed, "train", step).integers(0, len(self.train_Q), size)
        return self._padded(self.train_Q[drawn_N])

    def validation(self) -> Batch:
        """Sequences of the validation split, evenly thinned out to 2,048 at most."""
        return self._padded(self.validation_Q)

    def test(self) -> Batch:
        """Sequences of the test split: all of them, unless they would not fit into memory."""
        return self._padded(self.test_Q)

    def _padded(self, number_N: Numbers) -> Batch:
        """Rows right-aligned over the T steps, zeros before them."""
        first_N1, end_N1 = self.edges[number_N, np.newaxis], self.edges[number_N + 1, np.newaxis]
        row_NT = end_N1 + np.arange(-self.task.seq_len, 0)
        x_NTI = self.inputs_RI[np.maximum(row_NT, 0)]
        x_NTI[row_NT < first_N1] = 0
        return Batch(x_NTI, self.class_Q[number_N, np.newaxis])


def make_classify(spec: Classify, table: pa.Table, seed: int) -> ClassifyDataset:
    """Split a table's sequences by a hash of their ids, and scale them by the training rows.

    In the order of that hash the first 70 % of the sequences are for training, the last 15 % for
    the test (whole sequences, rounded down): which is which depends neither on the job's seed nor
    on the order of the rows. Inputs have mean 0 and standard deviation 1 over all rows of the
    training sequences. Shorter sequences are preceded by zeros, the inputs' mean, up to the
    longest one's length. The baseline is the cross entropy, on the test labels, of always
    answering with the training sequences' class shares.

    Raises:
        DatasetInvalidError: if the table does not fit the spec; the message says how.
    """
    rows = _read(spec, table)
    seq_len = _longest(spec, rows)
    train_Q, validation_Q, test_Q = _split(rows.ids)
    counts_C = np.bincount(rows.class_Q[train_Q], minlength=len(rows.classes))
    _check_classes(spec, rows.classes, counts_C)
    fitting = sequences_held_out(seq_len * len(spec.inputs))
    test_Q = thinned(test_Q, fitting)
    shares_C = counts_C / counts_C.sum()
    baseline = float(-np.log(shares_C[rows.class_Q[test_Q]]).mean())
    scaled_RI, _ = scaled(rows.inputs_RI, _rows_of(train_Q, rows.lengths))
    task = Task(
        loss="cross_entropy",
        input_size=len(spec.inputs),
        output_size=len(rows.classes),
        seq_len=seq_len,
        dependency=None,
        baseline=baseline,
        learned_below=baseline,
    )
    return ClassifyDataset(
        task,
        seed,
        scaled_RI,
        rows.edges,
        rows.class_Q,
        train_Q,
        thinned(validation_Q, min(fitting, HELD_OUT_SEQUENCES)),
        test_Q,
    )


def _read(spec: Classify, table: pa.Table) -> _Sequences:
    for name in (spec.sequence_id, spec.time, spec.label, *spec.inputs):
        check_present(table, name)
    ordered, edges = in_order(table, spec.sequence_id, spec.time)
    ids = ordered.column(spec.sequence_id).take(edges[:-1]).to_pylist()
    needed = sequences_needed()
    if len(ids) < needed:
        raise DatasetInvalidError(
            f"Too few sequences: at least {needed} are needed, column {spec.sequence_id!r} tells "
            f"{len(ids)} apart."
        )
    classes, class_R = _labels(spec, ordered)
    starts_Q = edges[:-1]
    is_same_R = class_R == np.repeat(class_R[starts_Q], np.diff(edges))
    if not is_same_R.all():
        place = int(np.searchsorted(edges, is_same_R.argmin(), side="right")) - 1
        raise DatasetInvalidError(f"Sequence {ids[place]!r} has more than one {spec.label!r}.")
    inputs_RI = np.stack([numbers(ordered, name) for name in spec.inputs], axis=1)
    return _Sequences(inputs_RI, edges, ids, classes, class_R[starts_Q])


def _labels(spec: Classify, table: pa.Table) -> tuple[list[object], Numbers]:
    """The classes, sorted, and the number of each row's class."""
    column = table.column(spec.label)
    kinds = (pa.types.is_string, pa.types.is_integer, pa.types.is_boolean)
    if not any(is_kind(column.type) for is_kind in kinds):
        raise DatasetInvalidError(f"Column {spec.label!r} holds neither text, integer nor boolean.")
    classes: list[object] = list(column.unique().sort().to_pylist())
    if not 1 < len(classes) <= MAX_CLASSES:
        raise DatasetInvalidError(
            f"Column {spec.label!r} has {len(classes)} classes; from 2 to {MAX_CLASSES} can be "
            "told apart."
        )
    number_R = compute.index_in(column, value_set=pa.array(classes, column.type))
    return classes, number_R.to_numpy().astype(np.int64)


def _longest(spec: Classify, rows: _Sequences) -> int:
    longest = int(rows.lengths.max())
    if longest > spec.max_seq_len:
        sequence = rows.ids[int(rows.lengths.argmax())]
        raise DatasetInvalidError(
            f"Sequence {sequence!r} has {longest} rows; at most {spec.max_seq_len} are taken "
            "(max_seq_len)."
        )
    return longest


def _split(ids: list[object]) -> tuple[Numbers, Numbers, Numbers]:
    """Numbers of the sequences for training, validation and test."""
    hashes = [hashlib.sha256(str(sequence).encode()).digest() for sequence in ids]
    order_Q = np.array(sorted(range(len(ids)), key=hashes.__getitem__))
    train_end = len(ids) * TRAIN_PERCENT // 100
    test_start = len(ids) - len(ids) * TEST_PERCENT // 100
    return order_Q[:train_end], order_Q[train_end:test_start], order_Q[test_start:]


def _check_classes(spec: Classify, classes: list[object], counts_C: Numbers) -> None:
    if not counts_C.all():
        missing = classes[int(counts_C.argmin())]
        raise DatasetInvalidError(
            f"None of the {counts_C.sum()} training sequences has the {spec.label!r} {missing!r}: "
            "there are too few sequences of this class."
        )


def _rows_of(number_N: Numbers, lengths: Numbers) -> Numbers:
    """Every row of these sequences."""
    is_one_Q = np.zeros(len(lengths), dtype=np.bool_)
    is_one_Q[number_N] = True
    return np.flatnonzero(np.repeat(is_one_Q, lengths))
