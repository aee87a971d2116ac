"""Whether an uploaded dataset can answer what a spec asks of it; told before the job is stored."""

from collections.abc import Iterator

from contract.dataset_record import DatasetRecord
from contract.errors import FieldError, InvalidError
from contract.spec import Forecast
from contract.spec.upload_task import rows_needed

_NUMERIC = frozenset({"number", "integer"})
_ORDERED = _NUMERIC | {"datetime"}
_TASK = "/dataset/task"


def check_forecast(task: Forecast, dataset: DatasetRecord) -> None:
    """Refuse a forecast that the dataset's columns or length do not allow.

    Raises:
        InvalidError: naming each place of the spec that does not fit.
    """
    errors = (
        *_column_errors(task, dataset),
        *_time_errors(task, dataset),
        *_length_errors(task, dataset),
    )
    if errors:
        raise InvalidError(f"dataset {dataset.id} does not fit the task", errors)


def _column_errors(task: Forecast, dataset: DatasetRecord) -> Iterator[FieldError]:
    columns = {column.name: column for column in dataset.columns}
    numeric = [("target", task.target)]
    numeric += [(f"inputs/{at}", name) for at, name in enumerate(task.inputs)]
    keys = [("series_id", task.series_id), ("time", task.time)]
    for member, name in [*numeric, *keys]:
        if name is not None and name not in columns:
            yield FieldError(f"{_TASK}/{member}", f"there is no column {name!r}")
    for member, name in numeric:
        column = columns.get(name)
        if column is None:
            continue
        if column.type not in _NUMERIC:
            yield FieldError(f"{_TASK}/{member}", f"column {name!r} holds {column.type}")
        elif column.missing or column.nonfinite:
            count = column.missing + column.nonfinite
            reason = f"column {name!r} has {count} missing or non-finite values"
            yield FieldError(f"{_TASK}/{member}", reason)


def _time_errors(task: Forecast, dataset: DatasetRecord) -> Iterator[FieldError]:
    for column in dataset.columns:
        if column.name == task.time and column.type not in _ORDERED:
            reason = f"column {column.name!r} holds {column.type}, which has no order in time"
            yield FieldError(f"{_TASK}/time", reason)


def _length_errors(task: Forecast, dataset: DatasetRecord) -> Iterator[FieldError]:
    needed = rows_needed(task.seq_len, task.horizon)
    if dataset.rows < needed:
        reason = f"the dataset has {dataset.rows} rows; at least {needed} are needed"
        yield FieldError(f"{_TASK}/seq_len", reason)
