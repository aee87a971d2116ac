"""Jobs: create, list, read, cancel."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Query, Request, Response, status

from contract.diagnosis import Verdict
from contract.job import Job, JobStatus
from contract.spec import JobSpec
from contract.store import JobFilter
from service.deps import DoorbellDep, SettingsDep, StoreDep
from service.etag import conditional_answer, etag_of
from service.examples import JOB_EXAMPLES
from service.intake import accept_job, accept_job_once
from service.negotiation import require_json_body
from service.openapi import problem_responses
from service.pagination import Page, make_cursor, read_cursor

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

# How soon a client may look again at a job that is not final.
RETRY_AFTER_S = 1


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    dependencies=[Depends(require_json_body)],
    responses=problem_responses(415),
)
def create_job(  # noqa: PLR0913, PLR0917 - FastAPI hands in what is needed
    spec: Annotated[JobSpec, Body(openapi_examples=JOB_EXAMPLES)],
    store: StoreDep,
    doorbell: DoorbellDep,
    settings: SettingsDep,
    response: Response,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> Job:
    """Submit a training job.

    The job is stored before this answers: once it is answered 201 it will be run, even if the
    broker or every worker is down at the moment. Poll `GET /v1/jobs/{job_id}`, whose address is
    in the `Location` header, until `status` is final.

    Send an `Idempotency-Key` to be able to repeat the request: with the same key and spec the
    first answer is given again, with `Idempotency-Replayed: true`, and no second job is made. A
    key is kept for a day; with another spec it is a 422.
    """
    if idempotency_key is None:
        job = accept_job(spec, store, doorbell, settings)
    else:
        key = idempotency_key.strip('"')
        job, is_replay = accept_job_once(key, spec, store, doorbell, settings)
        if is_replay:
            response.headers["Idempotency-Replayed"] = "true"
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    response.headers["ETag"] = etag_of(job.model_dump_json().encode())
    return job


@router.get("")
def list_jobs(  # noqa: PLR0913, PLR0917 - one argument a filter
    store: StoreDep,
    job_status: Annotated[JobStatus | None, Query(alias="status")] = None,
    tag: Annotated[str | None, Query(max_length=64)] = None,
    cell: Annotated[str | None, Query(max_length=32)] = None,
    dataset: Annotated[str | None, Query(max_length=32)] = None,
    verdict: Verdict | None = None,
    sweep_id: Annotated[str | None, Query(max_length=40)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Page[Job]:
    """List jobs, newest first.

    A page's `next_cursor` leads to the next one and stays valid while jobs are added.
    """
    wanted = JobFilter(job_status, tag, cell, dataset, verdict, sweep_id)
    jobs = store.jobs.read_page(wanted, limit + 1, read_cursor(cursor, wanted))
    has_more = len(jobs) > limit
    return Page[Job](
        data=jobs[:limit], next_cursor=make_cursor(jobs[limit - 1].id, wanted) if has_more else None
    )


@router.get(
    "/{job_id}",
    response_model=Job,
    responses={304: {"description": "Unchanged since the ETag that was sent"}},
)
def get_job(job_id: str, store: StoreDep, request: Request) -> Response:
    """Read a job.

    Send the `ETag` of an earlier answer as `If-None-Match` to be answered 304 while nothing has
    changed. While the job is not final, `Retry-After` says when to look again.
    """
    job = store.jobs.read(job_id)
    headers = {} if job.status.is_final else {"Retry-After": str(RETRY_AFTER_S)}
    return conditional_answer(request, job, headers)


@router.post("/{job_id}/cancel", responses={status.HTTP_202_ACCEPTED: {"model": Job}})
def cancel_job(job_id: str, store: StoreDep, response: Response) -> Job:
    """Cancel a job.

    A job that waits is cancelled at once (200). A running one is answered 202; it becomes
    `cancelled` when its training process and all that it started are gone, and `released` then
    says what was still held, normally nothing. A final job is answered 409.
    """
    job = store.jobs.request_cancel(job_id)
    if not job.status.is_final:
        response.status_code = status.HTTP_202_ACCEPTED
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return job
