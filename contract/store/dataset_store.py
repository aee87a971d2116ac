"""Uploaded datasets: their rows in the database; the files are in `contract.artifacts`."""

from typing import Any

from sqlalchemy import Engine, Row, delete, exists, insert, select
from ulid import ULID

from contract.dataset_record import DatasetRecord
from contract.errors import ConflictError, NotFoundError
from contract.job import JobStatus
from contract.store.engine import reading, writing
from contract.store.rows import moment
from contract.tables import datasets, jobs, now


def new_dataset_id() -> str:
    """An id that sorts by time."""
    return f"ds_{str(ULID()).lower()}"


class DatasetStore:
    """Datasets; each method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, dataset_id: str, values: dict[str, object]) -> DatasetRecord:
        """Store a dataset whose file is already stored; `values` are the table's columns."""
        with writing(self._engine) as connection:
            connection.execute(insert(datasets).values(id=dataset_id, created_at=now(), **values))
            return _record(
                connection.execute(select(datasets).where(datasets.c.id == dataset_id)).one()
            )

    def read(self, dataset_id: str) -> DatasetRecord:
        """One dataset; NotFoundError if there is none."""
        with reading(self._engine) as connection:
            row = connection.execute(select(datasets).where(datasets.c.id == dataset_id)).first()
        if row is None:
            raise NotFoundError("there is no such dataset")
        return _record(row)

    def read_page(self, limit: int, before: str | None) -> list[DatasetRecord]:
        """At most `limit` datasets, newest first, those with ids below `before` if given."""
        query = select(datasets).order_by(datasets.c.id.desc()).limit(limit)
        if before:
            query = query.where(datasets.c.id < before)
        with reading(self._engine) as connection:
            return [_record(row) for row in connection.execute(query).all()]

    def delete(self, dataset_id: str) -> None:
        """Forget a dataset.

        Raises:
            NotFoundError: there is no such dataset.
            ConflictError: an unfinished job trains on it.
        """
        unfinished = [status for status in JobStatus if not status.is_final]
        in_use = exists().where(jobs.c.dataset_id == dataset_id, jobs.c.status.in_(unfinished))
        with writing(self._engine) as connection:
            locked = select(datasets.c.id).where(datasets.c.id == dataset_id).with_for_update()
            if connection.execute(locked).first() is None:
                raise NotFoundError("there is no such dataset")
            if connection.execute(select(in_use)).scalar_one():
                raise ConflictError("an unfinished job trains on this dataset")
            connection.execute(delete(datasets).where(datasets.c.id == dataset_id))


def _record(row: Row[Any]) -> DatasetRecord:
    values = row._asdict()
    return DatasetRecord(**values | {"created_at": moment(values["created_at"])})
