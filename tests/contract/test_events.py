from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from contract.errors import ConflictError, NotFoundError
from contract.event import Event
from contract.job import JobError, JobErrorCode, JobStatus
from contract.spec import JobSpec
from contract.store import Ending, Lease, NewEvent, Store
from tests.contract.test_store import claim, create, let_lease_run_out, make_report

CUT = NewEvent("lr_cut", {"lr_before": 0.1, "lr": 0.05}, step=2)


def events(store: Store, job_id: str, after: int = 0, limit: int = 1000) -> list[Event]:
    """A job's events."""
    return store.events.read(job_id, after, limit).events


def tell(store: Store, lease: Lease, *new: NewEvent, step: int = 1) -> None:
    """Report one step with these events."""
    store.leases.report_all({lease: replace(make_report(step, step), events=new)})


def told(store: Store, job_id: str) -> list[tuple[int, int, int, str, object]]:
    """Id, attempt, step, kind and detail of each of a job's events."""
    return [(e.id, e.attempt, e.step, e.kind, e.detail) for e in events(store, job_id)]


def test_a_job_s_life_is_in_its_log(store: Store, spec: JobSpec) -> None:
    """Each status, and what was decided in training, is an event with its attempt and step."""
    job_id = create(store, spec)
    lease = claim(store).lease
    tell(store, lease, CUT)
    ending = Ending(JobStatus.SUCCEEDED, last_report=make_report(2, 5))
    store.leases.finish(lease, ending)

    assert told(store, job_id) == [
        (1, 0, 0, "queued", {}),
        (2, 1, 0, "running", {"worker": "worker"}),
        (3, 1, 2, "lr_cut", {"lr_before": 0.1, "lr": 0.05}),
        (4, 1, 5, "succeeded", {}),
    ]


def test_events_have_the_database_s_time(store: Store, spec: JobSpec) -> None:
    """The first event is as old as the job, and none is older than the one before it."""
    job = store.jobs.create(spec, max_queued=10)
    claim(store)
    first, second = events(store, job.id)

    assert abs((first.created_at - job.created_at).total_seconds()) < 1
    assert first.created_at <= second.created_at


def test_a_second_attempt_goes_on_in_the_log(store: Store, spec: JobSpec) -> None:
    """What the first attempt told stays, and the numbers go on, so that a follower misses none."""
    job_id = create(store, spec)
    tell(store, claim(store).lease, CUT)
    store.leases.give_back([Lease(job_id, 1)], max_attempts=5)
    claim(store)

    assert [(e.id, e.attempt, e.kind) for e in events(store, job_id)] == [
        (1, 0, "queued"),
        (2, 1, "running"),
        (3, 1, "lr_cut"),
        (4, 1, "queued"),
        (5, 2, "running"),
    ]


def test_a_lost_attempt_can_tell_nothing(store: Store, spec: JobSpec) -> None:
    """Events of a worker that has lost its lease are dropped with its report."""
    job_id = create(store, spec)
    stale = claim(store).lease
    store.leases.hand_back([stale])
    claim(store)
    before = events(store, job_id)

    tell(store, stale, CUT)

    assert events(store, job_id) == before


@pytest.mark.parametrize(
    ("max_attempts", "kind", "detail"),
    [
        (5, "queued", {"reason": "worker_lost"}),
        (1, "failed", {"code": "worker_lost", "message": "its worker was lost 1 times"}),
    ],
)
def test_a_lost_worker_is_told(
    store: Store, spec: JobSpec, max_attempts: int, kind: str, detail: dict[str, str]
) -> None:
    """A job whose lease ran out says so when it is queued again, or ended."""
    job_id = create(store, spec)
    let_lease_run_out(store, claim(store).lease)
    store.jobs.return_lost(max_attempts)

    assert (events(store, job_id)[-1].kind, events(store, job_id)[-1].detail) == (kind, detail)


def test_a_job_handed_back_says_so(store: Store, spec: JobSpec) -> None:
    """A worker that shuts down is no lost one."""
    job_id = create(store, spec)
    store.leases.hand_back([claim(store).lease])

    assert events(store, job_id)[-1].detail == {"reason": "handed_back"}


def test_a_failure_tells_its_code(store: Store, spec: JobSpec) -> None:
    """The event of a failed job has the code and the message of its error."""
    job_id = create(store, spec)
    error = JobError(code=JobErrorCode.TIME_LIMIT, message="longer than 1 s", param=None)
    store.leases.finish(claim(store).lease, Ending(JobStatus.FAILED, error=error))

    assert told(store, job_id)[-1] == (
        (3, 1, 0, "failed", {"code": "time_limit", "message": "longer than 1 s"})
    )


def test_a_cancelled_job_says_so_once(store: Store, spec: JobSpec) -> None:
    """A waiting job's cancel is one event; a refused second one adds none."""
    job_id = create(store, spec)
    store.jobs.request_cancel(job_id)
    with pytest.raises(ConflictError):
        store.jobs.request_cancel(job_id)

    assert [event.kind for event in events(store, job_id)] == ["queued", "cancelled"]


def test_a_running_job_is_cancelled_when_its_worker_is_gone(store: Store, spec: JobSpec) -> None:
    """Asking for the end of a running job is no event; its end is."""
    job_id = create(store, spec)
    lease = claim(store).lease
    store.jobs.request_cancel(job_id)
    kinds = [event.kind for event in events(store, job_id)]
    store.leases.hand_back([lease])

    assert kinds == ["queued", "running"]
    assert [event.kind for event in events(store, job_id)] == [*kinds, "cancelled"]


def test_reading_goes_on_after_an_id(store: Store, spec: JobSpec) -> None:
    """A part of the log begins after the id that was read last, and has the size asked for."""
    job_id = create(store, spec)
    tell(store, claim(store).lease, CUT, CUT, CUT)

    assert [event.id for event in events(store, job_id, after=1, limit=3)] == [2, 3, 4]
    assert events(store, job_id, after=5) == []


def test_the_end_of_the_log_is_known(store: Store, spec: JobSpec) -> None:
    """A reader is told that a final job's log will not grow."""
    job_id = create(store, spec)
    assert not store.events.read(job_id, 0, 10).is_final
    store.jobs.request_cancel(job_id)
    assert store.events.read(job_id, 0, 10).is_final


def test_an_unknown_job_has_no_log(store: Store) -> None:
    """Reading the events of a job that is not there says so."""
    with pytest.raises(NotFoundError):
        store.events.read("job_none", 0, 10)


def test_events_written_at_once_are_numbered_without_gaps(store: Store, spec: JobSpec) -> None:
    """Eight writers on one job wait for each other: no number is missing, none comes twice."""
    job_id = create(store, spec)
    lease = claim(store).lease
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda step: tell(store, lease, CUT, CUT, step=step), range(1, 9)))

    assert [event.id for event in events(store, job_id)] == list(range(1, 19))
