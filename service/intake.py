"""How a spec becomes a job: checked against limits and data, stored, and rung for."""

from contract.errors import FieldError, InvalidError, NotFoundError
from contract.job import Job
from contract.settings import Settings
from contract.spec import JobSpec, Upload
from contract.store import Store
from service.doorbell import Doorbell
from service.limits import check_limits
from service.upload_tasks import check_upload_task


def accept_job(
    spec: JobSpec,
    store: Store,
    doorbell: Doorbell,
    settings: Settings,
    parent_id: str | None = None,
) -> Job:
    """Store a job and ring for it; durable once this returns.

    Raises:
        InvalidError: the dataset is not there or does not fit the task.
        LimitError: the spec or the queue is beyond a limit.
    """
    check_spec(spec, store, settings)
    job = store.jobs.create(spec, parent_id, max_queued=settings.max_queued_jobs)
    doorbell.ring(job.id, spec.run.device)
    return job


def accept_job_once(
    key: str, spec: JobSpec, store: Store, doorbell: Doorbell, settings: Settings
) -> tuple[Job, bool]:
    """As `accept_job`, at most once for a key; returns the job, and whether it is a replay."""
    check_spec(spec, store, settings)
    job, is_replay = store.jobs.create_once(key, spec, max_queued=settings.max_queued_jobs)
    if not is_replay:
        doorbell.ring(job.id, spec.run.device)
    return job, is_replay


def check_spec(spec: JobSpec, store: Store, settings: Settings) -> None:
    """Refuse a spec that is beyond a limit or that its uploaded data cannot answer."""
    check_limits(spec, settings)
    if isinstance(spec.dataset, Upload):
        _check_upload(spec.dataset, store)


def _check_upload(dataset: Upload, store: Store) -> None:
    try:
        record = store.datasets.read(dataset.dataset_id)
    except NotFoundError:
        reason = f"there is no dataset {dataset.dataset_id}"
        raise InvalidError(reason, (FieldError("/dataset/dataset_id", reason),)) from None
    check_upload_task(dataset.task, record)
