"""Whether an uploaded dataset can answer what a spec asks of it; told before the job is stored."""

from collections.abc import Iterable, Iterator
from typing import assert_never

from contract.column_types import ColumnType
from contract.dataset_record import DatasetRecord
from contract.errors import FieldError, InvalidError
from contract.spec import Classify, Forecast, NextToken, UploadTask
from contract.spec.upload_task import characters_needed, rows_needed, sequences_needed

_NUMERIC: frozenset[ColumnType] = frozenset({"number", "integer"})
_ORDERED: frozenset[ColumnType] = _NUMERIC | {"datetime"}
_CLASSES: frozenset[ColumnType] = frozenset({"text", "integer", "boolean"})
_ANY: frozenset[ColumnType] = _NUMERIC | _ORDERED | _CLASSES
_TEXT: frozenset[ColumnType] = frozenset({"text"})
_TASK = "/dataset/task"


def check_upload_task(task: UploadTask, dataset: DatasetRecord) -> None:
    """Refuse a task that the dataset's columns or length do not allow.

    Raises:
        InvalidError: naming each place of the spec that does not fit.
    """
    errors = tuple(_errors(task, dataset))
    if errors:
        raise InvalidError(f"dataset {dataset.id} does not fit the task", errors)


def _errors(task: UploadTask, dataset: DatasetRecord) -> Iterator[FieldError]:
    match task:
        case Forecast():
            yield from _forecast_errors(task, dataset)
        case Classify():
            yield from _classify_errors(task, dataset)
        case NextToken():
            yield from _next_token_errors(task, dataset)
        case _:
            assert_never(task)


def _forecast_errors(task: Forecast, dataset: DatasetRecord) -> Iterator[FieldError]:
    yield from _column_errors("target", task.target, _NUMERIC, dataset)
    yield from _inputs_errors(task.inputs, dataset)
    if task.series_id is not None:
        yield from _column_errors("series_id", task.series_id, _ANY, dataset)
    if task.time is not None:
        yield from _column_errors("time", task.time, _ORDERED, dataset)
    needed = rows_needed(task.seq_len, task.horizon)
    if dataset.rows < needed:
        reason = f"the dataset has {dataset.rows} rows; at least {needed} are needed"
        yield FieldError(f"{_TASK}/seq_len", reason)


def _classify_errors(task: Classify, dataset: DatasetRecord) -> Iterator[FieldError]:
    yield from _column_errors("sequence_id", task.sequence_id, _ANY, dataset)
    yield from _column_errors("time", task.time, _ORDERED, dataset)
    yield from _inputs_errors(task.inputs, dataset)
    yield from _column_errors("label", task.label, _CLASSES, dataset)
    needed = sequences_needed()
    if dataset.rows < needed:
        reason = f"the dataset has {dataset.rows} rows; at least {needed} sequences are needed"
        yield FieldError(f"{_TASK}/sequence_id", reason)


def _next_token_errors(task: NextToken, dataset: DatasetRecord) -> Iterator[FieldError]:
    yield from _column_errors("column", task.column, _TEXT, dataset)
    needed = characters_needed(task.seq_len)
    # A character has a byte or more, unless the file was packed.
    if dataset.format != "parquet" and dataset.bytes < needed:
        reason = f"the dataset has {dataset.bytes} bytes; at least {needed} characters are needed"
        yield FieldError(f"{_TASK}/seq_len", reason)


def _inputs_errors(inputs: Iterable[str], dataset: DatasetRecord) -> Iterator[FieldError]:
    for place, name in enumerate(inputs):
        yield from _column_errors(f"inputs/{place}", name, _NUMERIC, dataset)


def _column_errors(
    member: str, name: str, types: frozenset[ColumnType], dataset: DatasetRecord
) -> Iterator[FieldError]:
    """What is wrong with a column that a member of the task names."""
    pointer = f"{_TASK}/{member}"
    column = next((column for column in dataset.columns if column.name == name), None)
    if column is None:
        yield FieldError(pointer, f"there is no column {name!r}")
    elif column.type not in types:
        allowed = ", ".join(sorted(types))
        yield FieldError(pointer, f"column {name!r} holds {column.type}, not {allowed}")
    elif column.missing or column.nonfinite:
        count = column.missing + column.nonfinite
        yield FieldError(pointer, f"column {name!r} has {count} missing or non-finite values")
