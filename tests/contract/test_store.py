from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import text

from contract.curve import SERIES, Curve
from contract.errors import ConflictError, InvalidError, LeaseLostError, LimitError, NotFoundError
from contract.flow import Flow
from contract.job import JobErrorCode, JobStatus, Latest, Released
from contract.spec import JobSpec
from contract.store import Claim, Ending, Evaluation, JobFilter, Lease, Report, Store

LEASE_S = 30.0


def create(store: Store, spec: JobSpec, **changes: object) -> str:
    """Store a job; returns its id."""
    return store.jobs.create(spec.model_copy(update=changes), max_queued=1000).id


def claim(store: Store, device: str = "cpu", lease_s: float = LEASE_S) -> Claim:
    """Claim the next job, which must be there."""
    (claimed,) = store.leases.claim("worker", device, lease_s, 1)
    return claimed


def make_report(first: int, last: int, value: float = 1.0) -> Report:
    """A report of steps first..last."""
    steps = np.arange(first, last + 1)
    curve = Curve(steps, {name: np.full(len(steps), value) for name in SERIES})
    return Report(curve, Latest(loss=value), steps_per_s=10.0)


def let_lease_run_out(store: Store, lease: Lease) -> None:
    """Put the end of a lease into the past."""
    with store.engine.begin() as connection:
        connection.execute(
            text("UPDATE jobs SET lease_until = 1 WHERE id = :id"), {"id": lease.job_id}
        )


def test_new_job_is_queued_and_readable(store: Store, spec: JobSpec) -> None:
    """A created job reads back queued, with its spec and no progress."""
    job = store.jobs.read(create(store, spec))

    assert job.status is JobStatus.QUEUED
    assert job.spec == spec
    assert (job.attempt, job.progress.step) == (0, 0)


def test_unknown_job_is_not_found(store: Store) -> None:
    """Reading a job that is not there says so."""
    with pytest.raises(NotFoundError):
        store.jobs.read("job_none")


def test_job_on_unknown_dataset_is_refused(store: Store) -> None:
    """A spec with a dataset that was never uploaded is refused with the pointer to it."""
    task = {"kind": "forecast", "target": "x", "inputs": ["x"], "seq_len": 5}
    dataset = {"kind": "upload", "dataset_id": "ds_" + "0" * 26, "task": task}
    spec = JobSpec.model_validate({"dataset": dataset, "cell": {"kind": "rnn"}})

    with pytest.raises(InvalidError) as caught:
        store.jobs.create(spec, max_queued=10)

    assert caught.value.errors[0].pointer == "/dataset/dataset_id"


def test_full_queue_is_a_named_limit(store: Store, spec: JobSpec) -> None:
    """One job more than may wait is refused, the limit named."""
    store.jobs.create(spec, max_queued=1)

    with pytest.raises(LimitError, match="max_queued_jobs"):
        store.jobs.create(spec, max_queued=1)


def test_list_is_newest_first_and_goes_on_below_an_id(store: Store, spec: JobSpec) -> None:
    """Pages of jobs are newest first, and the next begins below the last id."""
    ids = [create(store, spec) for _ in range(3)]

    first = store.jobs.read_page(JobFilter(), 2, None)
    second = store.jobs.read_page(JobFilter(), 2, first[-1].id)

    assert [job.id for job in first + second] == ids[::-1]


def test_list_filters_by_tag_and_status(store: Store, spec: JobSpec) -> None:
    """Only jobs with the tag and the status asked for are listed."""
    tagged = create(store, spec, tags=("a", "b"))
    create(store, spec, tags=("b",))

    assert [job.id for job in store.jobs.read_page(JobFilter(tag="a"), 9, None)] == [tagged]
    assert store.jobs.read_page(JobFilter(status=JobStatus.RUNNING), 9, None) == []


def test_claim_takes_priority_before_age(store: Store, spec: JobSpec) -> None:
    """The job with the higher priority is claimed first, then the older one."""
    old = create(store, spec)
    young = create(store, spec)
    urgent = create(store, spec, run=spec.run.model_copy(update={"priority": 9}))

    assert [claim(store).lease.job_id for _ in range(3)] == [urgent, old, young]


def test_claim_keeps_to_the_device(store: Store, spec: JobSpec) -> None:
    """A job for a GPU is never claimed by a CPU worker."""
    create(store, spec, run=spec.run.model_copy(update={"device": "cuda"}))

    assert store.leases.claim("worker", "cpu", LEASE_S, 1) == []
    assert len(store.leases.claim("worker", "cuda", LEASE_S, 1)) == 1


def test_race_for_one_job_has_one_winner(store: Store, spec: JobSpec) -> None:
    """Of eight workers that claim at once, exactly one gets the job."""
    create(store, spec)

    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: store.leases.claim("w", "cpu", LEASE_S, 1), range(8)))

    assert len([claimed for claimed in claims if claimed]) == 1


def test_report_moves_progress_and_curve(store: Store, spec: JobSpec) -> None:
    """Reported steps show in the progress, in `latest` and in the curve."""
    job_id = create(store, spec)
    lease = claim(store).lease

    store.leases.report_all({lease: make_report(1, 3)})
    store.leases.report_all({lease: make_report(4, 5, value=2.0)})

    job = store.jobs.read(job_id)
    assert (job.progress.step, job.latest.loss) == (5, 2.0)
    assert store.curves.read_curve(job_id, 2, 4).step_N.tolist() == [2, 3, 4]


def test_flow_and_evaluations_read_back(store: Store, spec: JobSpec) -> None:
    """Flow arrays read back bit for bit; an evaluation that was not finite reads back as None."""
    job_id = create(store, spec)
    norms = np.array([[1e-30, 0.5, 1.0]])
    report = Report(
        make_report(1, 1).curve,
        Latest(),
        None,
        evaluations=(Evaluation(1, float("nan"), None),),
        flows=(Flow(1, norms, norms * 2, (2,)),),
    )

    store.leases.report_all({claim(store).lease: report})

    (flow,) = store.curves.read_flows(job_id, 1, None, 10)
    np.testing.assert_array_equal(flow.weight_term_norm_LT, norms * 2)
    assert store.curves.read_evaluations(job_id, 1, None).val_loss == [None]


def test_stale_attempt_can_write_nothing(store: Store, spec: JobSpec) -> None:
    """A worker whose lease was given to another attempt can neither report nor finish."""
    job_id = create(store, spec)
    stale = claim(store).lease
    let_lease_run_out(store, stale)
    store.jobs.return_lost(max_attempts=5)
    fresh = claim(store).lease

    assert store.leases.report_all({stale: make_report(1, 1)}) == set()
    with pytest.raises(LeaseLostError):
        store.leases.finish(stale, Ending(JobStatus.SUCCEEDED))

    assert fresh.attempt == stale.attempt + 1
    assert len(store.curves.read_curve(job_id, 1, None)) == 0


def test_claim_drops_what_a_lost_attempt_wrote(store: Store, spec: JobSpec) -> None:
    """A new attempt begins with an empty curve, so that no step is there twice."""
    job_id = create(store, spec)
    lost = claim(store).lease
    store.leases.report_all({lost: make_report(1, 5)})
    let_lease_run_out(store, lost)
    store.jobs.return_lost(max_attempts=5)

    store.leases.report_all({claim(store).lease: make_report(1, 2)})

    assert store.curves.read_curve(job_id, 1, None).step_N.tolist() == [1, 2]


def test_job_that_loses_every_worker_fails(store: Store, spec: JobSpec) -> None:
    """After the last attempt allowed, a lost job fails as worker_lost."""
    job_id = create(store, spec)
    for _ in range(2):
        let_lease_run_out(store, claim(store).lease)
        store.jobs.return_lost(max_attempts=2)

    job = store.jobs.read(job_id)

    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error.code is JobErrorCode.WORKER_LOST


def test_live_lease_is_left_alone(store: Store, spec: JobSpec) -> None:
    """A job whose lease has not run out is not returned to the queue."""
    create(store, spec)
    claim(store)

    assert store.jobs.return_lost(max_attempts=5) == []


def test_waiting_job_is_cancelled_at_once(store: Store, spec: JobSpec) -> None:
    """Cancelling a queued job needs no worker."""
    assert store.jobs.request_cancel(create(store, spec)).status is JobStatus.CANCELLED


def test_running_job_is_cancelled_by_its_worker(store: Store, spec: JobSpec) -> None:
    """A running job stays running until its worker, told by the renewal, has let go."""
    job_id = create(store, spec)
    lease = claim(store).lease

    assert store.leases.renew_all([lease], LEASE_S) == {job_id: False}
    assert store.jobs.request_cancel(job_id).status is JobStatus.RUNNING
    assert store.leases.renew_all([lease], LEASE_S) == {job_id: True}
    released = Released(pids=0, gpu_bytes=0)
    store.leases.finish(lease, Ending(JobStatus.CANCELLED, released=released))
    assert store.jobs.read(job_id).released == released


def test_cancel_outlives_the_worker(store: Store, spec: JobSpec) -> None:
    """If the worker is lost after a cancel, the job is cancelled and not run again."""
    job_id = create(store, spec)
    lease = claim(store).lease
    store.jobs.request_cancel(job_id)
    let_lease_run_out(store, lease)

    store.jobs.return_lost(max_attempts=5)

    assert store.jobs.read(job_id).status is JobStatus.CANCELLED


def test_final_job_cannot_be_cancelled(store: Store, spec: JobSpec) -> None:
    """A job that has ended is left as it is."""
    job_id = create(store, spec)
    store.leases.finish(claim(store).lease, Ending(JobStatus.SUCCEEDED))

    with pytest.raises(ConflictError):
        store.jobs.request_cancel(job_id)


def test_unrung_job_is_listed_once(store: Store, spec: JobSpec) -> None:
    """The sweeper is given a waiting job once, then not again before its time."""
    job_id = create(store, spec)

    assert store.jobs.list_unrung(60) == [(job_id, "auto")]
    assert store.jobs.list_unrung(60) == []


@pytest.mark.parametrize(
    ("device", "present", "reason"),
    [
        ("cpu", [], "a worker: none is running"),
        ("cuda", ["cpu"], "a worker with device cuda: none is running"),
        ("auto", ["cpu"], "a free worker"),
    ],
)
def test_queued_job_says_what_it_waits_for(
    store: Store, spec: JobSpec, device: str, present: list[str], reason: str
) -> None:
    """A queued job says whether a worker is missing, or one with its device, or none is free."""
    job_id = create(store, spec, run=spec.run.model_copy(update={"device": device}))
    for kind in present:
        store.workers.see(f"{kind} worker", kind)

    assert store.jobs.read(job_id).waiting_for == reason


def test_worker_that_left_is_not_counted(store: Store, spec: JobSpec) -> None:
    """A worker that said goodbye no longer counts as running."""
    store.workers.see("w", "cpu")
    store.workers.forget("w")

    assert store.jobs.read(create(store, spec)).waiting_for == "a worker: none is running"
