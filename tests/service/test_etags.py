import pytest
from fastapi.testclient import TestClient

from tests.service.gateway import SPEC, StandInWorker, create


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"other" , W/{}', "*"])
def test_known_tag_is_recognised_in_every_form(client: TestClient, form: str) -> None:
    """A tag is found in a list, and as a proxy that compresses marks it: weak."""
    address = f"/v1/jobs/{create(client)['id']}"
    tag = client.get(address).headers["etag"]

    answer = client.get(address, headers={"If-None-Match": form.format(tag)})

    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == tag


@pytest.mark.parametrize("known", ['"other"', "", "garbage", '"'])
def test_other_tag_gets_the_job(client: TestClient, known: str) -> None:
    """With any other tag the job is sent."""
    answer = client.get(f"/v1/jobs/{create(client)['id']}", headers={"If-None-Match": known})

    assert answer.status_code == 200


def test_creation_and_fork_answer_a_tag(client: TestClient) -> None:
    """A 201 has a strong ETag, and another job another one."""
    created = client.post("/v1/jobs", json=SPEC)
    forked = client.post(f"{created.headers['location']}/fork", json={})

    tags = {created.headers["etag"], forked.headers["etag"]}

    assert len(tags) == 2
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)


def test_only_a_job_under_way_says_when_to_look_again(
    client: TestClient, worker: StandInWorker
) -> None:
    """`Retry-After` is there while a job waits, runs or is to be cancelled, and then no more."""
    address = f"/v1/jobs/{create(client)['id']}"
    waiting = client.get(address)
    lease = worker.claim()
    under_way = [waiting, client.get(address), client.post(f"{address}/cancel")]
    worker.finish(lease)

    assert [answer.headers["retry-after"] for answer in under_way] == ["1", "1", "1"]
    assert "retry-after" not in client.get(address).headers


def test_answer_to_a_post_has_the_tag_of_the_first_get(client: TestClient) -> None:
    """A client that keeps the ETag of its POST is answered 304 while nothing has happened."""
    created = client.post("/v1/jobs", json=SPEC)

    first_get = client.get(
        created.headers["location"], headers={"If-None-Match": created.headers["etag"]}
    )

    assert first_get.status_code == 304
