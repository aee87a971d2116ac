from fastapi.testclient import TestClient

from tests.service.gateway import app_of, create, diagnosis_of


def test_diagnosis_before_the_first_measure_is_inconclusive(client: TestClient) -> None:
    """A queued job's diagnosis says that nothing is known."""
    body = client.get(f"/v1/jobs/{create(client)['id']}/diagnosis").json()

    assert (body["verdict"], body["final"], body["measures"]) == ("inconclusive", False, None)


def test_diagnosis_becomes_final_with_the_job(client: TestClient, job_id: str) -> None:
    """While the job runs its diagnosis is not final; once it has ended, it is."""
    assert client.get(f"/v1/jobs/{job_id}/diagnosis").json()["final"] is False
    store = app_of(client).state.store
    store.jobs.request_cancel(job_id)
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET lease_until = 1")
    store.jobs.return_lost(5)

    assert client.get(f"/v1/jobs/{job_id}/diagnosis").json()["final"] is True


def test_diagnosis_is_answered_as_the_worker_wrote_it(client: TestClient, job_id: str) -> None:
    """Findings, evidence, measures and prescriptions come through unchanged."""
    body = client.get(f"/v1/jobs/{job_id}/diagnosis").json()

    assert body == diagnosis_of(job_id).model_dump(mode="json")
    assert client.get(f"/v1/jobs/{job_id}").json()["verdict"] == body["verdict"]


def test_prescription_can_be_sent_to_fork_as_it_stands(client: TestClient, job_id: str) -> None:
    """The patch of a prescription makes a job that differs in what it prescribes."""
    (prescription,) = client.get(f"/v1/jobs/{job_id}/diagnosis").json()["prescriptions"]

    forked = client.post(f"/v1/jobs/{job_id}/fork", json={"patch": prescription["patch"]})

    assert forked.status_code == 201
    assert forked.json()["spec"]["remedy"]["clipping"] == {"kind": "norm", "max_norm": 5}
