"""Diagnoses: why a run went as it did, and what to do."""

from fastapi import APIRouter

from contract.diagnosis import Diagnosis, Verdict
from contract.job import Job
from service.deps import StoreDep

router = APIRouter(prefix="/v1/jobs", tags=["results"])


@router.get("/{job_id}/diagnosis")
def get_job_diagnosis(job_id: str, store: StoreDep) -> Diagnosis:
    """Read a job's diagnosis, also while it runs (`"final": false`).

    Findings come with the numbers they rest on. Each prescription's `patch` can be sent to
    `POST /v1/jobs/{job_id}/fork` as it stands.
    """
    job = store.jobs.read(job_id)
    found = store.curves.read_diagnosis(job_id)
    if found is None:
        return _nothing_known(job)
    # A job that was cancelled or failed keeps the diagnosis of its last moment.
    return found.model_copy(update={"final": job.status.is_final})


def _nothing_known(job: Job) -> Diagnosis:
    return Diagnosis(
        job_id=job.id,
        final=job.status.is_final,
        verdict=Verdict.INCONCLUSIVE,
        summary=f"Nothing is known yet: the job is {job.status} and has no measured step.",
        findings=(),
        measures=None,
        prescriptions=(),
    )
