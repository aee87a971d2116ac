"""What training decides, as a client follows it over HTTP."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import Stack
from tests.e2e.test_command_line import unroll
from tests.service.sse import Received, receive

EXPLODING: dict[str, Any] = {
    "dataset": {"kind": "adding", "seq_len": 50},
    "cell": {"kind": "rnn", "hidden_size": 32},
    "remedy": {
        "init": {"kind": "xavier_normal", "gain": 2.0},
        "lr_control": {"kind": "guarded", "max_rollbacks": 2},
    },
    "training": {
        "optimizer": {"kind": "sgd", "lr": 0.1},
        "batch_size": 16,
        "max_steps": 200,
        "eval_every": 50,
    },
}
RANGE_TEST: dict[str, Any] = {
    "dataset": {"kind": "delayed_recall", "seq_len": 10},
    "cell": {"kind": "rnn", "hidden_size": 32},
    "remedy": {"lr_control": {"kind": "range_test"}},
    "training": {"batch_size": 16, "max_steps": 200},
}


def follow(stack: Stack, job_id: str, last_event_id: str = "", count: int = 1000) -> list[Received]:
    """A job's events from its stream: so many, or all until it ends."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": last_event_id}
    path = f"/v1/jobs/{job_id}/events"
    with stack.http.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        return [one for one, _ in zip(receive(answer.iter_lines()), range(count), strict=False)]


@pytest.mark.parametrize("which", ["embedded", "roles"])
def test_rollbacks_are_streamed_and_said(which: str, request: pytest.FixtureRequest) -> None:
    """A guarded run that explodes is followed, left and taken up again, from queued to its end."""
    stack: Stack = request.getfixturevalue(which)
    job_id = stack.submit(**EXPLODING)["id"]

    received = follow(stack, job_id, count=2)
    received += follow(stack, job_id, last_event_id=received[-1].id)

    kinds = [one.event for one in received]
    assert kinds[:2] == ["queued", "running"]
    assert kinds.count("rollback") == 2
    assert kinds[-1] == "succeeded"
    assert [one.data for one in received] == stack.get(job_id, "events")["data"]
    first = received[kinds.index("rollback")].data
    assert first["step"] > first["detail"]["to_step"]
    assert first["detail"]["lr"] == 0.05
    diagnosis = stack.get(job_id, "diagnosis")
    assert "rolled back 2 times, to lr 0.025" in diagnosis["summary"]
    assert received[-1].data["detail"] == {"verdict": diagnosis["verdict"]}


def test_range_test_suggests_an_lr_that_can_be_forked(embedded: Stack) -> None:
    """Its suggestion is an event and the first prescription, with which the job trains."""
    job = embedded.finished(embedded.submit(**RANGE_TEST)["id"])
    events = embedded.get(job["id"], "events")["data"]
    diagnosis = embedded.get(job["id"], "diagnosis")

    (suggested,) = [event for event in events if event["kind"] == "lr_suggested"]
    assert job["verdict"] == "inconclusive"
    assert f"suggests lr {suggested['detail']['lr']:.3g}" in diagnosis["summary"]
    patch = diagnosis["prescriptions"][0]["patch"]
    forked = embedded.http.post(f"/v1/jobs/{job['id']}/fork", json={"patch": patch}).json()
    assert forked["spec"]["remedy"]["lr_control"] is None
    assert forked["spec"]["training"]["optimizer"]["lr"] == float(
        f"{suggested['detail']['lr']:.3g}"
    )
    assert embedded.finished(forked["id"])["status"] == "succeeded"


def test_watching_shows_rollbacks(embedded: Stack, tmp_path: Path) -> None:
    """`unroll submit --watch` prints what training decides, with its step."""
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(EXPLODING))

    run = unroll("submit", str(path), "--watch", "--url", str(embedded.http.base_url))

    assert run.returncode == 0, run.stderr
    assert run.stdout.count(": rollback (lr ") == 2
    assert "step 6: rollback (lr 0.05, count 1, to_step 0, loss" in run.stdout
