"""A finished job's files: the model's weights and what they belong to."""

import tempfile
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict
from starlette.background import BackgroundTask

from contract.errors import NotFoundError
from service.deps import ArtifactsDep, StoreDep

router = APIRouter(prefix="/v1/jobs", tags=["results"])


class Artifact(BaseModel):
    """One file of a job."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    bytes: int
    """Size."""
    url: str
    """Where to get it."""


class ArtifactList(BaseModel):
    """A job's files."""

    data: list[Artifact]


@router.get("/{job_id}/artifacts")
def list_job_artifacts(job_id: str, store: StoreDep, artifacts: ArtifactsDep) -> ArtifactList:
    """List a job's files; there are none before it has succeeded."""
    store.jobs.read(job_id)
    sizes = artifacts.sizes("jobs", job_id)
    return ArtifactList(
        data=[
            Artifact(name=name, bytes=size, url=f"/v1/jobs/{job_id}/artifacts/{name}")
            for name, size in sorted(sizes.items())
        ]
    )


@router.get("/{job_id}/artifacts/{name}", response_class=FileResponse)
def get_job_artifact(
    job_id: str, name: str, store: StoreDep, artifacts: ArtifactsDep
) -> FileResponse:
    """Download a file: `model.safetensors` (the weights) or `model.json` (spec and shapes)."""
    store.jobs.read(job_id)
    # Only a name that is listed is opened, so a name can never lead elsewhere.
    if name not in artifacts.sizes("jobs", job_id):
        raise NotFoundError("the job has no such file")
    folder = tempfile.TemporaryDirectory()
    local = artifacts.fetch(Path(folder.name) / "file", "jobs", job_id, name)
    return FileResponse(local, filename=name, background=BackgroundTask(folder.cleanup))
