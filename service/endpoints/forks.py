"""Forks: a new job from another one's spec, patched."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Response, status
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contract.errors import FieldError, InvalidError
from contract.job import Job
from contract.merge_patch import apply_merge_patch
from contract.spec import JobSpec
from service.deps import DoorbellDep, SettingsDep, StoreDep
from service.etag import etag_of
from service.examples import FORK_EXAMPLES
from service.intake import accept_job
from service.negotiation import require_json_body
from service.openapi import problem_responses
from service.problems import invalid_spec

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


class ForkRequest(BaseModel):
    """What to change of a job's spec."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    patch: dict[str, Any] = Field(default_factory=dict)
    """A JSON Merge Patch (RFC 7396) on the spec: null removes a member; `{}` runs it again."""
    from_step: None = None
    """Start from a checkpoint; none are kept yet, so only null, a start anew, is accepted."""


@router.post(
    "/{job_id}/fork",
    status_code=status.HTTP_201_CREATED,
    dependencies=[Depends(require_json_body)],
    responses=problem_responses(415),
)
def fork_job(  # noqa: PLR0913, PLR0917 - FastAPI hands in what is needed
    job_id: str,
    fork: Annotated[ForkRequest, Body(openapi_examples=FORK_EXAMPLES)],
    store: StoreDep,
    doorbell: DoorbellDep,
    settings: SettingsDep,
    response: Response,
) -> Job:
    """Run a job's spec again, changed by a patch.

    A prescription's `patch` can be sent as it stands. The new job's `parent_id` is the old job,
    which goes on as it was.
    """
    parent = store.jobs.read(job_id)
    spec = _patched(parent.spec, fork.patch)
    job = accept_job(spec, store, doorbell, settings, parent_id=parent.id)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    response.headers["ETag"] = etag_of(job.model_dump_json().encode())
    return job


def _patched(spec: JobSpec, patch: dict[str, Any]) -> JobSpec:
    """The spec with the patch applied, checked as a spec that is sent.

    Raises:
        InvalidError: the result is not a valid spec; pointers are into the patched spec.
    """
    try:
        return JobSpec.model_validate(apply_merge_patch(spec.model_dump(mode="json"), patch))
    except ValidationError as error:
        raise invalid_spec(error) from None
    except RecursionError:
        raise InvalidError(
            "the patch is nested too deeply", (FieldError("/patch", "too deep"),)
        ) from None
