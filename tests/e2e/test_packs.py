import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.stack import JsonObject, Stack

BLOCKER: dict[str, Any] = {
    "dataset": {"kind": "delayed_recall", "seq_len": 20},
    "cell": {"kind": "rnn", "hidden_size": 5},
    "training": {"max_steps": 10_000_000, "batch_size": 4},
}
ENDLESS = 10_000_000


def spec_of(seed: int, max_steps: int, **parts: Any) -> JsonObject:  # noqa: ANN401 - any JSON
    """A job of the pack key that all jobs here have; `parts` replace parts of the spec."""
    training = {"max_steps": max_steps, "eval_every": 50, "batch_size": 16, "seed": seed}
    whole = {
        "dataset": {"kind": "delayed_recall", "seq_len": 5},
        "cell": {"kind": "rnn", "hidden_size": 16},
        "training": training,
        "run": {"device": "cpu"},
    }
    return whole | parts


def start_pack(stack: Stack, specs: list[JsonObject]) -> list[str]:
    """Have jobs wait behind another one, so that the worker then claims them together."""
    blocker = stack.submit(**BLOCKER)["id"]
    stack.started(blocker)
    ids: list[str] = [stack.submit(**spec)["id"] for spec in specs]
    stack.http.post(f"/v1/jobs/{blocker}/cancel")
    stack.finished(blocker, seconds=20)
    return ids


def start_running_pack(stack: Stack, specs: list[JsonObject]) -> tuple[list[str], psutil.Process]:
    """Start a pack and wait for the first step of each; returns ids and the one process."""
    ids = start_pack(stack, specs)
    for job_id in ids:
        stack.started(job_id)
    (process,) = stack.training_processes()
    return ids, process


def cancel(stack: Stack, ids: list[str]) -> list[JsonObject]:
    """Cancel jobs; returns them as they ended."""
    for job_id in ids:
        stack.http.post(f"/v1/jobs/{job_id}/cancel")
    return [stack.finished(job_id, seconds=20) for job_id in ids]


def statuses(jobs: list[JsonObject]) -> list[str]:
    """Where the jobs stand."""
    return [job["status"] for job in jobs]


def test_waiting_jobs_alike_train_as_one_pack(embedded: Stack) -> None:
    """Six waiting jobs of one key train in one process, and succeed with curves without a gap."""
    ids, _ = start_running_pack(embedded, [spec_of(seed, 1000) for seed in range(6)])
    together = statuses([embedded.job(job_id) for job_id in ids])

    jobs = [embedded.finished(job_id) for job_id in ids]

    assert together == ["running"] * 6
    assert [(job["status"], job["attempt"]) for job in jobs] == [("succeeded", 1)] * 6
    for job in jobs:
        curves = embedded.get(job["id"], "curves?max_points=10000")
        assert curves["step"] == list(range(1, 1001))
        assert embedded.get(job["id"], "diagnosis")["final"] is True


def test_cancelled_member_leaves_the_others(embedded: Stack) -> None:
    """A member that is cancelled is let go of, while the same process trains the others on."""
    ids, process = start_running_pack(embedded, [spec_of(seed, ENDLESS) for seed in range(3)])

    (middle,) = cancel(embedded, [ids[1]])
    still_there = embedded.training_processes()
    before = embedded.job(ids[0])["progress"]["step"]
    embedded.wait_until(lambda: embedded.job(ids[0])["progress"]["step"] > before)

    assert middle["status"] == "cancelled"
    assert middle["released"] == {"pids": 0, "gpu_bytes": 0}
    assert still_there == [process]
    others = cancel(embedded, [ids[0], ids[2]])
    assert [(job["status"], job["attempt"]) for job in others] == [("cancelled", 1)] * 2
    assert embedded.training_processes() == []


def test_short_member_is_handed_in_at_once(embedded: Stack) -> None:
    """A member with few steps has succeeded, model and all, while the others still run."""
    specs = [spec_of(1, ENDLESS), spec_of(2, 100), spec_of(3, ENDLESS)]
    ids = start_pack(embedded, specs)

    short = embedded.finished(ids[1])
    others = [embedded.job(ids[0]), embedded.job(ids[2])]

    assert short["status"] == "succeeded"
    assert embedded.get(short["id"], "curves")["total_points"] == 100
    assert statuses(others) == ["running", "running"]
    cancel(embedded, [ids[0], ids[2]])


def test_killed_process_returns_every_member(embedded: Stack) -> None:
    """When the process of a pack is killed all its jobs are trained again, from empty curves."""
    ids, process = start_running_pack(embedded, [spec_of(seed, 2000) for seed in range(4)])

    process.send_signal(signal.SIGKILL)
    jobs = [embedded.finished(job_id) for job_id in ids]

    assert [(job["status"], job["attempt"]) for job in jobs] == [("succeeded", 2)] * 4
    for job_id in ids:
        assert embedded.get(job_id, "curves")["total_points"] == 2000


def test_diverging_member_leaves_the_others_healthy(embedded: Stack) -> None:
    """A member that diverges ends as diverged; the others learn as if it were not there."""
    calm: JsonObject = {"activation": {"kind": "relu"}}
    wild = calm | {"init": {"kind": "identity", "scale": 1e12}}
    remedies = (calm, wild, calm)
    specs = [spec_of(seed, 1000, remedy=remedy) for seed, remedy in enumerate(remedies)]
    for spec in specs:
        spec["training"]["optimizer"] = {"kind": "adam", "lr": 0.01}
    ids = start_pack(embedded, specs)

    jobs = [embedded.finished(job_id) for job_id in ids]

    assert statuses(jobs) == ["succeeded"] * 3
    assert [job["verdict"] for job in jobs] == ["healthy", "diverged", "healthy"]


def test_time_limit_is_each_members_own(embedded: Stack) -> None:
    """A member beyond its limit fails with `time_limit`, and the others train on."""
    hurried = spec_of(1, ENDLESS, run={"device": "cpu", "max_seconds": 1})
    ids, process = start_running_pack(embedded, [spec_of(0, ENDLESS), hurried])

    late = embedded.finished(ids[1])

    assert late["error"]["code"] == "time_limit"
    assert embedded.job(ids[0])["status"] == "running"
    assert embedded.training_processes() == [process]
    cancel(embedded, ids[:1])


def test_process_that_does_not_let_go_is_ended(embedded: Stack) -> None:
    """If a frozen process does not drop a cancelled member, the others are trained anew."""
    ids, process = start_running_pack(embedded, [spec_of(seed, 2000) for seed in range(3)])
    process.suspend()

    (middle,) = cancel(embedded, [ids[1]])
    others = [embedded.finished(ids[0]), embedded.finished(ids[2])]

    assert middle["status"] == "cancelled"
    assert middle["released"] == {"pids": 0, "gpu_bytes": 0}
    assert [(job["status"], job["attempt"]) for job in others] == [("succeeded", 2)] * 2


def test_pack_on_a_dataset_that_is_gone_fails_typed(embedded: Stack, data_dir: Path) -> None:
    """Each member that cannot open its data fails as `dataset_invalid`, at once."""
    dataset = embedded.http.post("/v1/datasets", files={"file": b"x\n" + b"1\n2\n3\n" * 20}).json()
    (data_dir / "artifacts" / "datasets" / dataset["id"] / "data.parquet").unlink()
    task = {"kind": "forecast", "target": "x", "inputs": ["x"], "seq_len": 5}
    upload = {"kind": "upload", "dataset_id": dataset["id"], "task": task}
    ids = start_pack(embedded, [spec_of(seed, 100, dataset=upload) for seed in range(2)])

    jobs = [embedded.finished(job_id) for job_id in ids]

    assert [job["attempt"] for job in jobs] == [1, 1]
    assert [job["error"]["code"] for job in jobs] == ["dataset_invalid"] * 2


def test_worker_that_is_told_to_stop_hands_its_pack_back(roles: Stack) -> None:
    """On SIGTERM a worker ends its training process, and every member waits in the queue again."""
    ids, process = start_running_pack(roles, [spec_of(seed, ENDLESS) for seed in range(3)])

    roles.processes[-1].terminate()

    assert roles.processes[-1].wait(15) == 0
    assert statuses([roles.job(job_id) for job_id in ids]) == ["queued"] * 3
    assert not process.is_running()


@contextmanager
def memory_limited(stack: Stack, spare_bytes: int) -> Iterator[None]:
    """Training processes get so much address space beyond what their fork server has."""
    stack.finished(stack.submit(**spec_of(0, 1))["id"])  # now the fork server has loaded everything
    below = psutil.Process(stack.processes[-1].pid).children(recursive=True)
    server = next(child for child in below if "forkserver" in " ".join(child.cmdline()))
    unlimited = server.rlimit(psutil.RLIMIT_AS)
    server.rlimit(psutil.RLIMIT_AS, (server.memory_info().vms + spare_bytes, unlimited[1]))
    yield
    server.rlimit(psutil.RLIMIT_AS, unlimited)


def test_pack_without_memory_is_trained_one_by_one(embedded: Stack) -> None:
    """Jobs that do not fit together are not failed: each is trained alone, and succeeds."""
    large: JsonObject = {"training": {"max_steps": 2, "batch_size": 512}}
    large |= {"dataset": {"kind": "delayed_recall", "seq_len": 100}}
    large |= {"cell": {"kind": "rnn", "hidden_size": 128}}
    with memory_limited(embedded, spare_bytes=250_000_000):
        ids = start_pack(embedded, [spec_of(seed, 2, **large) for seed in range(12)])
        jobs = [embedded.finished(job_id) for job_id in ids]

    assert [(job["status"], job["attempt"]) for job in jobs] == [("succeeded", 2)] * 12


def test_job_alone_without_memory_fails_typed(embedded: Stack) -> None:
    """A job that does not even fit by itself fails as `out_of_memory_host`, with what to lower."""
    large: JsonObject = {"training": {"max_steps": 2, "batch_size": 4096}}
    large |= {"dataset": {"kind": "delayed_recall", "seq_len": 100}}
    # Both directions: such a network keeps the whole sequence, time is not cut into segments.
    large |= {"cell": {"kind": "rnn", "hidden_size": 400, "bidirectional": True}}
    with memory_limited(embedded, spare_bytes=500_000_000):
        job = embedded.finished(embedded.submit(**spec_of(1, 2, **large))["id"])

    assert (job["status"], job["attempt"]) == ("failed", 1)
    assert job["error"]["code"] == "out_of_memory_host"
    assert job["error"]["param"] == "/training/batch_size"
