from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from sqlalchemy import text

from contract.curve import SERIES, Curve
from contract.job import JobStatus, Latest
from contract.spec import JobSpec
from contract.store import Claim, Ending, Lease, Report, Store

LEASE_S = 30.0


def other_sizes(spec: JobSpec) -> JobSpec:
    """The spec with another number of hidden units, so of another pack."""
    return spec.model_copy(update={"cell": spec.cell.model_copy(update={"hidden_size": 3})})


def with_run(spec: JobSpec, **changes: object) -> JobSpec:
    """The spec with another priority or device."""
    return spec.model_copy(update={"run": spec.run.model_copy(update=changes)})


def create(store: Store, spec: JobSpec, number: int = 1) -> list[str]:
    """Store a job a few times; returns the ids, oldest first."""
    return [store.jobs.create(spec, max_queued=1000).id for _ in range(number)]


def claim(store: Store, limit: int, worker: str = "me", device: str = "cpu") -> list[str]:
    """Claim a pack; returns the ids in their order."""
    return [claimed.lease.job_id for claimed in claim_pack(store, limit, worker, device)]


def claim_pack(store: Store, limit: int, worker: str = "me", device: str = "cpu") -> list[Claim]:
    """Claim a pack."""
    return store.leases.claim(worker, device, LEASE_S, limit)


def leases_of(claims: list[Claim]) -> list[Lease]:
    """The leases of a pack."""
    return [claimed.lease for claimed in claims]


def statuses(store: Store, ids: list[str]) -> list[JobStatus]:
    """Where the jobs stand."""
    return [store.jobs.read(job_id).status for job_id in ids]


def test_jobs_alike_are_claimed_together(store: Store, spec: JobSpec) -> None:
    """A claim takes the first job and all of its key, passing over others, oldest first."""
    alike = create(store, spec, 2)
    create(store, other_sizes(spec))
    alike += create(store, spec, 2)

    assert claim(store, 16) == alike
    assert {status.value for status in statuses(store, alike)} == {"running"}


def test_limit_leaves_the_youngest(store: Store, spec: JobSpec) -> None:
    """No more than the limit are taken; the next claim takes the rest."""
    ids = create(store, spec, 5)

    assert [claim(store, 3), claim(store, 3), claim(store, 3)] == [ids[:3], ids[3:], []]


def test_priority_chooses_the_pack_and_age_its_members(store: Store, spec: JobSpec) -> None:
    """An urgent job brings those of its key with it, the oldest first whatever their priority."""
    create(store, other_sizes(spec))
    low, normal = (create(store, with_run(spec, priority=priority))[0] for priority in (1, 5))
    urgent = create(store, with_run(spec, priority=9))[0]

    assert claim(store, 3) == [urgent, low, normal]


def test_pack_keeps_to_one_device_choice(store: Store, spec: JobSpec) -> None:
    """A CPU worker's pack holds no job that asks for a GPU."""
    ids = create(store, spec, 2)
    create(store, with_run(spec, device="cuda"))

    assert claim(store, 16) == ids


def test_every_claim_of_a_pack_has_its_own_lease_and_spec(store: Store, spec: JobSpec) -> None:
    """Each member comes with its own spec and an attempt raised by one."""
    seeds = [
        spec.model_copy(update={"training": spec.training.model_copy(update={"seed": seed})})
        for seed in (1, 2)
    ]
    ids = [create(store, seeded)[0] for seeded in seeds]

    claims = claim_pack(store, 16)

    assert [claimed.spec for claimed in claims] == seeds
    assert leases_of(claims) == [Lease(job_id, 1) for job_id in ids]


def test_waiting_jobs_are_shared_by_idle_workers(store: Store, spec: JobSpec) -> None:
    """With another idle worker of the same device there, each takes half."""
    ids = create(store, spec, 5)
    store.workers.see("me", "cpu")
    store.workers.see("another", "cpu")
    store.workers.see("a third", "cuda")

    assert claim(store, 16) == ids[:3]
    assert claim(store, 16, worker="another") == ids[3:]


def test_worker_that_trains_gets_no_share(store: Store, spec: JobSpec) -> None:
    """A worker that holds a job is not idle, so the one that asks takes all."""
    store.workers.see("me", "cpu")
    store.workers.see("busy", "cpu")
    create(store, other_sizes(spec))
    claim(store, 1, worker="busy")
    ids = create(store, spec, 4)

    assert claim(store, 16) == ids


def test_worker_that_fell_silent_gets_no_share(store: Store, spec: JobSpec) -> None:
    """A worker that was not seen lately is not waited for."""
    ids = create(store, spec, 4)
    store.workers.see("gone", "cpu")
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE workers SET seen_at = 1"))

    assert claim(store, 16) == ids


@pytest.mark.parametrize("limit", [1, 4])
def test_race_claims_every_job_once(store: Store, spec: JobSpec, limit: int) -> None:
    """Eight workers that claim at once until nothing waits get every job, and none twice."""
    ids = create(store, spec, 12) + create(store, other_sizes(spec), 12)
    start = Barrier(8)

    def claim_all(number: int) -> list[str]:
        start.wait()
        taken: list[str] = []
        # A claim may find every waiting job in another's hands for a moment.
        while JobStatus.QUEUED in statuses(store, ids):
            taken += claim(store, limit, worker=f"worker {number}")
        return taken

    with ThreadPoolExecutor(8) as pool:
        taken = [job_id for pack in pool.map(claim_all, range(8)) for job_id in pack]

    assert Counter(taken) == Counter(ids)


def test_renewal_tells_of_each_member(store: Store, spec: JobSpec) -> None:
    """Renewing a pack names the jobs still ours, and which of them are to be cancelled."""
    done, wanted, cancelled = create(store, spec, 3)
    leases = leases_of(claim_pack(store, 16))
    store.leases.finish(leases[0], Ending(JobStatus.SUCCEEDED))
    store.jobs.request_cancel(cancelled)

    renewed = store.leases.renew_all(leases, LEASE_S)

    assert renewed == {wanted: False, cancelled: True}
    assert done not in renewed


def test_renewal_moves_the_end_of_every_lease(store: Store, spec: JobSpec) -> None:
    """After a renewal no member's lease runs out before the time asked for."""
    create(store, spec, 2)
    leases = leases_of(claim_pack(store, 16))
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET lease_until = 1"))

    store.leases.renew_all(leases, LEASE_S)

    assert store.jobs.return_lost(max_attempts=5) == []


def test_lease_of_another_attempt_is_not_renewed(store: Store, spec: JobSpec) -> None:
    """A member that another attempt owns is not among the jobs still ours."""
    (job_id,) = create(store, spec)
    stale = leases_of(claim_pack(store, 1))
    store.leases.hand_back(stale)
    claim(store, 1)

    assert store.leases.renew_all(stale, LEASE_S) == {}
    assert statuses(store, [job_id]) == [JobStatus.RUNNING]


def test_giving_back_leaves_the_finished_alone(store: Store, spec: JobSpec) -> None:
    """When a pack's process dies, those that had ended stay, the others wait again."""
    ids = create(store, spec, 3)
    leases = leases_of(claim_pack(store, 16))
    store.leases.finish(leases[1], Ending(JobStatus.SUCCEEDED))

    store.leases.give_back(leases, max_attempts=5)

    assert statuses(store, ids) == [JobStatus.QUEUED, JobStatus.SUCCEEDED, JobStatus.QUEUED]


def test_pack_that_was_lost_once_is_a_pack_again(store: Store, spec: JobSpec) -> None:
    """After one loss the jobs are still claimed together."""
    ids = create(store, spec, 3)

    store.leases.give_back(leases_of(claim_pack(store, 16)), max_attempts=5)

    assert claim(store, 16) == ids


def test_job_that_was_lost_twice_trains_alone(store: Store, spec: JobSpec) -> None:
    """From the second loss on no other job shares its process."""
    ids = create(store, spec, 2)
    for _ in range(2):
        store.leases.give_back(leases_of(claim_pack(store, 16)), max_attempts=5)

    assert [claim(store, 16), claim(store, 16)] == [ids[:1], ids[1:]]


def test_handing_back_is_no_loss(store: Store, spec: JobSpec) -> None:
    """However often its worker shuts down, a job is neither failed nor trained alone."""
    ids = create(store, spec, 2)
    for _ in range(6):
        store.leases.hand_back(leases_of(claim_pack(store, 16)))

    assert claim(store, 16) == ids


def test_split_pack_trains_alone(store: Store, spec: JobSpec) -> None:
    """Jobs handed back to train alone are claimed one by one, also beside newer ones alike."""
    ids = create(store, spec, 2)
    store.leases.hand_back(leases_of(claim_pack(store, 16)), alone=True)
    newer = create(store, spec, 2)

    assert [claim(store, 16) for _ in range(3)] == [ids[:1], ids[1:], newer]


def test_handing_back_keeps_a_cancel(store: Store, spec: JobSpec) -> None:
    """A job that was to be cancelled when its worker shut down is cancelled, not queued."""
    ids = create(store, spec, 2)
    leases = leases_of(claim_pack(store, 16))
    store.jobs.request_cancel(ids[0])

    store.leases.hand_back(leases)

    assert statuses(store, ids) == [JobStatus.CANCELLED, JobStatus.QUEUED]


def test_reports_of_a_pack_are_written_where_the_lease_holds(store: Store, spec: JobSpec) -> None:
    """A pack's reports go to each job that is still ours; the answer names these."""
    ids = create(store, spec, 3)
    leases = leases_of(claim_pack(store, 16))
    store.leases.finish(leases[1], Ending(JobStatus.SUCCEEDED))

    kept = store.leases.report_all({lease: one_step() for lease in leases})

    assert kept == {leases[0], leases[2]}
    lengths = [len(store.curves.read_curve(job_id, 1, None)) for job_id in ids]
    assert lengths == [1, 0, 1]


def one_step() -> Report:
    """A report of the first step."""
    curve = Curve(np.array([1]), {name: np.ones(1) for name in SERIES})
    return Report(curve, Latest(), steps_per_s=None)
