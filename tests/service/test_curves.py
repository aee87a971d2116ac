import pytest
from fastapi.testclient import TestClient

from tests.service.gateway import JsonObject, StandInWorker, create, pointers, problem


def curves(client: TestClient, job_id: str, query: str = "") -> JsonObject:
    """Read curves."""
    answer = client.get(f"/v1/jobs/{job_id}/curves?{query}")
    assert answer.status_code == 200, answer.text
    body: JsonObject = answer.json()
    return body


def test_every_step_can_be_read(client: TestClient, job_id: str) -> None:
    """Without a limit in the way, each step is one point of every series."""
    body = curves(client, job_id)

    assert body["step"] == list(range(1, 101))
    assert (body["first_step"], body["last_step"], body["bucket_size"]) == (1, 100, 1)
    assert set(body["series"]) == {
        "loss", "lr", "grad_norm", "clip_coef", "param_norm", "update_ratio"
    }  # fmt: skip
    assert body["evals"] == {"step": [60, 100], "val_loss": [60, 100], "val_metric": [0.5, 0.5]}


def test_buckets_keep_exact_extremes(client: TestClient, job_id: str) -> None:
    """Ten buckets of ten steps hold each one's minimum, maximum and last value."""
    body = curves(client, job_id, "max_points=10&series=loss")

    assert body["returned_points"] == 10
    assert body["total_points"] == 100
    assert body["step"] == [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert body["series"]["loss"]["min"][:2] == [1, 11]
    assert body["series"]["loss"]["max"][4] == 49
    assert body["series"]["loss"]["last"][4] is None


def test_nonfinite_values_are_null_and_listed(client: TestClient, job_id: str) -> None:
    """Inf and nan are null in the arrays, and each is listed with its step."""
    body = curves(client, job_id, "series=loss")

    assert body["series"]["loss"]["last"][49:51] == [None, None]
    assert body["nonfinite"] == [
        {"step": 50, "series": "loss", "kind": "inf"},
        {"step": 51, "series": "loss", "kind": "nan"},
    ]


def test_range_of_steps_is_cut_exactly(client: TestClient, job_id: str) -> None:
    """`from_step` and `to_step` are included, `after_step` is not."""
    assert curves(client, job_id, "from_step=59&to_step=62")["step"] == [59, 60, 61, 62]
    assert curves(client, job_id, "after_step=98")["step"] == [99, 100]
    assert curves(client, job_id, "after_step=100")["step"] == []


def test_job_without_steps_has_empty_curves(client: TestClient) -> None:
    """A queued job's curves are empty, not an error."""
    body = curves(client, create(client)["id"])

    assert (body["first_step"], body["total_points"], body["step"]) == (None, 0, [])
    assert body["series"]["loss"] == {"min": [], "max": [], "last": []}


@pytest.mark.parametrize(
    ("query", "place"),
    [("series=loss,speed", "series"), ("max_points=0", "max_points"), ("from_step=x", "from_step")],
)
def test_bad_curve_query_is_named(client: TestClient, job_id: str, query: str, place: str) -> None:
    """An unknown series or a bad number is a 422 at its parameter."""
    body = problem(client.get(f"/v1/jobs/{job_id}/curves?{query}"), 422)

    assert pointers(body) == [place]


def test_chosen_series_come_alone_and_as_themselves(client: TestClient, job_id: str) -> None:
    """`series` names what is answered, each with its own values, spaces and repeats ignored."""
    body = curves(client, job_id, "series=grad_norm,%20lr,grad_norm&to_step=2")

    assert {name: series["last"] for name, series in body["series"].items()} == {
        "grad_norm": [3, 6],
        "lr": [2, 4],
    }


def test_only_what_was_asked_for_is_listed_as_nonfinite(client: TestClient, job_id: str) -> None:
    """Non-finite values are those of the chosen series and steps, at any number of points."""
    body = curves(client, job_id, "series=lr&from_step=51&max_points=1")

    assert body["nonfinite"] == [{"step": 51, "series": "lr", "kind": "nan"}]


def test_buckets_stay_where_they_are_as_a_run_grows(
    client: TestClient, job_id: str, worker: StandInWorker
) -> None:
    """A bucket that was full is answered again unchanged when the run has gone on."""
    query = "max_points=10&series=lr&from_step=1&to_step=100"
    before = curves(client, job_id, query)
    worker.report(worker.lease_of(job_id), [1.0, 2.0], first=101)

    assert curves(client, job_id, query) == before
    assert curves(client, job_id, "max_points=11&series=lr")["step"][:10] == before["step"]


def test_range_cuts_evaluations_too(client: TestClient, job_id: str) -> None:
    """Evaluations are those of the steps that were asked for."""
    assert curves(client, job_id, "after_step=60")["evals"]["step"] == [100]


def test_final_job_keeps_its_curves(client: TestClient, job_id: str, worker: StandInWorker) -> None:
    """After the end the curves say so, and hold every step."""
    worker.finish(worker.lease_of(job_id))

    body = curves(client, job_id)

    assert (body["status"], body["total_points"]) == ("succeeded", 100)
