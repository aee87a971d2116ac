"""Datasets: upload, list, read, delete."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Response, UploadFile, status

from contract.dataset_record import DatasetRecord
from service.deps import ArtifactsDep, SettingsDep, StoreDep
from service.pagination import Page, make_cursor, read_cursor
from service.uploads import Upload, store_upload

_NO_FILTERS = "datasets"

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])
# A router of its own, for it has a body limit of its own.
upload_router = APIRouter(prefix="/v1/datasets", tags=["datasets"])


@upload_router.post("", status_code=status.HTTP_201_CREATED)
def create_dataset(  # noqa: PLR0913, PLR0917 - FastAPI hands in what is needed
    file: UploadFile,
    store: StoreDep,
    artifacts: ArtifactsDep,
    settings: SettingsDep,
    response: Response,
    name: Annotated[str, Form(max_length=200)] = "",
) -> DatasetRecord:
    """Upload a table or a text: CSV, Parquet, JSON Lines or plain text.

    The file's first bytes decide which it is, and where they leave it open its name: `.txt` is a
    plain text, `.tsv` has tabs between its cells, all else is CSV with a header line. JSON Lines
    are one flat object a line, all with the same keys. Columns get their types from all of their
    values; a plain text has one column, `text`, with a row for each line. The answer shows the
    columns with a preview of the first rows.

    Train on it with `{"kind": "upload", "dataset_id": …, "task": …}`: `forecast`, `classify` or
    `next_token`.
    """
    upload = Upload(file.file, file.filename or "", name)
    record = store_upload(upload, store, artifacts, settings)
    response.headers["Location"] = f"/v1/datasets/{record.id}"
    return record


@router.get("")
def list_datasets(
    store: StoreDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Page[DatasetRecord]:
    """List datasets, newest first."""
    found = store.datasets.read_page(limit + 1, read_cursor(cursor, _NO_FILTERS))
    has_more = len(found) > limit
    next_cursor = make_cursor(found[limit - 1].id, _NO_FILTERS) if has_more else None
    return Page[DatasetRecord](data=found[:limit], next_cursor=next_cursor)


@router.get("/{dataset_id}")
def get_dataset(dataset_id: str, store: StoreDep) -> DatasetRecord:
    """Read a dataset's columns and preview."""
    return store.datasets.read(dataset_id)


@router.delete("/{dataset_id}", status_code=status.HTTP_204_NO_CONTENT)
def delete_dataset(dataset_id: str, store: StoreDep, artifacts: ArtifactsDep) -> None:
    """Delete a dataset; 409 while an unfinished job trains on it."""
    store.datasets.delete(dataset_id)
    artifacts.delete("datasets", dataset_id)
