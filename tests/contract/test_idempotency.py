from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from contract.errors import InvalidError, LimitError
from contract.spec import JobSpec
from contract.store import JobFilter, Store


def test_same_key_and_spec_is_one_job(store: Store, spec: JobSpec) -> None:
    """A repeated request is answered as the first was, even if the job has moved since."""
    first, was_replay = store.jobs.create_once("k", spec, max_queued=10)
    store.jobs.request_cancel(first.id)

    again, is_replay = store.jobs.create_once("k", spec, max_queued=10)

    assert (was_replay, is_replay) == (False, True)
    assert again == first


def test_same_key_with_another_spec_is_refused(store: Store, spec: JobSpec) -> None:
    """A key stands for one request only."""
    store.jobs.create_once("k", spec, max_queued=10)

    with pytest.raises(InvalidError) as caught:
        store.jobs.create_once("k", spec.model_copy(update={"name": "other"}), max_queued=10)

    assert caught.value.errors[0].pointer == "Idempotency-Key"


def test_storm_of_one_key_makes_one_job(store: Store, spec: JobSpec) -> None:
    """Of 32 requests at once with one key, one makes the job and all are answered with it."""
    with ThreadPoolExecutor(32) as pool:
        answers = list(
            pool.map(lambda _: store.jobs.create_once("k", spec, max_queued=99), range(32))
        )

    assert len({job.id for job, _ in answers}) == 1
    assert [is_replay for _, is_replay in answers].count(False) == 1
    assert len(store.jobs.read_page(JobFilter(), 99, None)) == 1


def test_refused_request_leaves_its_key_free(store: Store, spec: JobSpec) -> None:
    """A request that was refused can be repeated with the same key."""
    with pytest.raises(LimitError):
        store.jobs.create_once("k", spec, max_queued=0)

    assert store.jobs.create_once("k", spec, max_queued=1)[1] is False


def test_key_is_forgotten_after_a_day(store: Store, spec: JobSpec) -> None:
    """An old key makes a new job."""
    first, _ = store.jobs.create_once("k", spec, max_queued=10)
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE idempotency_keys SET created_at = created_at - 90000"))

    again, is_replay = store.jobs.create_once("k", spec, max_queued=10)

    assert not is_replay
    assert again.id != first.id
