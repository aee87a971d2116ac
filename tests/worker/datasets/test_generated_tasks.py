"""What every generated task has in common."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.spec import (
    Adding,
    CopyMemory,
    DelayedRecall,
    MackeyGlass,
    SequentialDigits,
    SubjectRecall,
    TemporalOrder,
)
from contract.spec import Dataset as DatasetSpec
from worker.datasets import generated
from worker.datasets.draws import draws
from worker.datasets.registry import open_dataset
from worker.datasets.task import Dataset

SPECS: list[DatasetSpec] = [
    Adding(kind="adding", seq_len=11),
    DelayedRecall(kind="delayed_recall", seq_len=7, num_symbols=5),
    TemporalOrder(kind="temporal_order", seq_len=23),
    SubjectRecall(kind="subject_recall", gap=9),
    CopyMemory(kind="copy_memory", lag=4, num_symbols=3, num_values=2),
]
# What is drawn from a store of sequences that was made or read before.
STORED: list[DatasetSpec] = [
    MackeyGlass(kind="mackey_glass", seq_len=8, horizon=3),
    SequentialDigits(kind="sequential_digits"),
]
each_generated = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.kind)
each_task = pytest.mark.parametrize("spec", SPECS + STORED, ids=lambda spec: spec.kind)


def _open(spec: DatasetSpec, seed: int = 3) -> Dataset:
    return open_dataset(spec, seed, lambda _: pytest.fail("a generated task reads no table"))


@each_task
def test_a_batch_has_the_shapes_and_types_its_task_promises(spec: DatasetSpec) -> None:
    """Inputs are float32 (N, T, I); targets int64 (N, S) classes or float32 (N, S, O) values."""
    dataset = _open(spec)
    task, batch = dataset.task, dataset.batch(1, 6)

    assert batch.x_NTI.shape == (6, task.seq_len, task.input_size)
    assert batch.x_NTI.dtype == np.float32
    classes = task.loss == "cross_entropy"
    assert batch.target.shape == (6, task.target_steps, task.output_size)[: 2 if classes else 3]
    assert batch.target.dtype == (np.int64 if classes else np.float32)


@each_task
def test_a_batch_does_not_depend_on_the_batches_before_it(spec: DatasetSpec) -> None:
    """Step 9 is the same after steps 1 to 8 and straight away."""
    walked, jumped = _open(spec), _open(spec)
    for step in range(1, 9):
        walked.batch(step, 4)

    np.testing.assert_array_equal(walked.batch(9, 4).x_NTI, jumped.batch(9, 4).x_NTI)
    np.testing.assert_array_equal(walked.batch(9, 4).target, jumped.batch(9, 4).target)


@each_task
def test_steps_and_seeds_give_different_sequences(spec: DatasetSpec) -> None:
    """Neither the next step nor another seed repeats a batch."""
    batch = _open(spec).batch(1, 32)

    assert not np.array_equal(batch.x_NTI, _open(spec).batch(2, 32).x_NTI)
    assert not np.array_equal(batch.x_NTI, _open(spec, seed=4).batch(1, 32).x_NTI)


@each_generated
def test_held_out_sets_have_2048_sequences(spec: DatasetSpec) -> None:
    """As many for validation as for the test."""
    dataset = _open(spec)

    assert len(dataset.validation().x_NTI) == len(dataset.test().x_NTI) == 2_048


@each_task
def test_held_out_sets_are_fixed_and_differ(spec: DatasetSpec) -> None:
    """They are the same at every call, validation unlike test."""
    dataset = _open(spec)
    validation, test = dataset.validation(), dataset.test()

    np.testing.assert_array_equal(validation.x_NTI, dataset.validation().x_NTI)
    assert not np.array_equal(validation.x_NTI, test.x_NTI)


@each_task
def test_the_baseline_is_the_test_loss_of_doing_nothing(spec: DatasetSpec) -> None:
    """The best answer without a look at the input costs the baseline; half of it is learned."""
    dataset = _open(spec)
    task, target = dataset.task, dataset.test().target
    if task.loss == "squared_error":
        measured = float(target.var())
    else:
        shares_SO = np.eye(task.output_size)[target].mean(axis=0)
        measured = float(-(shares_SO * np.log(np.maximum(shares_SO, 1e-9))).sum(axis=1).mean())

    assert task.baseline == pytest.approx(measured, rel=0.06)
    assert task.learned_below == pytest.approx(task.baseline / 2)


def test_a_held_out_set_of_very_long_sequences_stays_within_memory() -> None:
    """There are as many sequences as fit into the numbers a held-out set may hold."""
    validation = _open(Adding(kind="adding", seq_len=10_000)).validation()
    long = open_dataset(SubjectRecall(kind="subject_recall", gap=9_000), 0, pytest.fail)
    num_sequences = generated.HELD_OUT_NUMBERS // (long.task.seq_len * long.task.input_size)

    assert validation.x_NTI.shape == (2_048, 10_000, 2)
    assert 100 < num_sequences == len(long.validation().x_NTI)


@given(
    seed=st.integers(0, 2**63 - 1),
    first=st.tuples(st.sampled_from(["train", "validation", "test"]), st.integers(0, 2**62)),
    second=st.tuples(st.sampled_from(["train", "validation", "test"]), st.integers(0, 2**62)),
)
def test_streams_are_equal_only_for_equal_purpose_and_step(
    seed: int, first: tuple[str, int], second: tuple[str, int]
) -> None:
    """The 256 first bits of two streams agree exactly if the streams are the same."""
    one, two = (
        draws(seed, purpose, step).bytes(32)  # type: ignore[arg-type]  # sampled from its values
        for purpose, step in (first, second)
    )

    assert (one == two) == (first == second)


def test_neighbouring_steps_do_not_overlap() -> None:
    """No number of one step's stream turns up in the next step's."""
    one, two = (draws(0, "train", step).integers(0, 2**63, 10_000) for step in (1, 2))

    assert not set(one.tolist()) & set(two.tolist())


@pytest.mark.parametrize(
    ("spec", "dependency", "baseline"),
    [
        (Adding(kind="adding", seq_len=100), 50, 1 / 6),
        (Adding(kind="adding", seq_len=11), 6, 1 / 6),
        (DelayedRecall(kind="delayed_recall", seq_len=25), 24, math.log(8)),
        (TemporalOrder(kind="temporal_order", seq_len=30), 24, math.log(4)),
        (SubjectRecall(kind="subject_recall", gap=60), 67, math.log(8)),
        (CopyMemory(kind="copy_memory", lag=100), 110, 0.1733),
        (CopyMemory(kind="copy_memory", lag=1000), 1010, 0.0204),
        (SequentialDigits(kind="sequential_digits"), None, math.log(10)),
    ],
)
def test_the_dependency_and_the_baseline_are_those_worked_out_by_hand(
    spec: DatasetSpec, dependency: int | None, baseline: float
) -> None:
    """The lag that must always be bridged, and the loss of knowing nothing."""
    task = _open(spec).task

    assert task.dependency == dependency
    assert task.baseline == pytest.approx(baseline, rel=3e-3)
