import signal
import socket
from pathlib import Path

import psutil

from tests.e2e.stack import FAST, Stack, free_port, running, serve

SHORT = {
    "dataset": {"kind": "delayed_recall", "seq_len": 20},
    "cell": {"kind": "rnn", "hidden_size": 16},
    "training": {"max_steps": 60, "eval_every": 20, "batch_size": 16},
}
ENDLESS = SHORT | {"training": {"max_steps": 10_000_000, "batch_size": 16}}


def test_spec_becomes_curves_flow_and_diagnosis(embedded: Stack) -> None:
    """A spec that is POSTed is trained; its curves, flow and diagnosis can be read."""
    job = embedded.finished(embedded.submit(**SHORT)["id"])

    assert job["status"] == "succeeded"
    assert job["attempt"] == 1
    curves = embedded.get(job["id"], "curves")
    assert curves["step"] == list(range(1, 61))
    assert curves["evals"]["step"] == [20, 40, 60]
    flow = embedded.get(job["id"], "gradient-flow")
    assert flow["steps"] == [1, 20, 40, 60]
    assert len(flow["layers"][0]["grad_norm"][0]) == 20
    diagnosis = embedded.get(job["id"], "diagnosis")
    assert diagnosis["final"] is True
    assert diagnosis["verdict"] == job["verdict"]


def test_prescription_can_be_forked_as_it_stands(embedded: Stack) -> None:
    """A prescription's patch makes a valid new job whose parent is the diagnosed one."""
    spec = SHORT | {"dataset": {"kind": "delayed_recall", "seq_len": 60}}
    spec |= {"training": {"max_steps": 200, "eval_every": 20, "batch_size": 16}}
    parent = embedded.finished(embedded.submit(**spec)["id"])
    first = embedded.get(parent["id"], "diagnosis")["prescriptions"][0]

    answer = embedded.http.post(f"/v1/jobs/{parent['id']}/fork", json={"patch": first["patch"]})

    assert answer.status_code == 201
    assert answer.json()["parent_id"] == parent["id"]
    assert embedded.finished(answer.json()["id"])["status"] == "succeeded"


def test_same_spec_gives_the_same_bits(embedded: Stack) -> None:
    """Two runs of one spec have the same curves to the last bit."""
    first, second = (embedded.submit(**SHORT)["id"] for _ in range(2))

    series = [
        embedded.get(embedded.finished(job_id)["id"], "curves")["series"]
        for job_id in (first, second)
    ]

    assert series[0] == series[1]


def test_cancel_lets_go(embedded: Stack) -> None:
    """A cancelled job's training process is gone when `cancelled` is answered."""
    job_id = embedded.submit(**ENDLESS)["id"]
    embedded.started(job_id)
    assert embedded.training_processes()

    assert embedded.http.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    job = embedded.finished(job_id, seconds=10)

    assert job["status"] == "cancelled"
    assert job["released"] == {"pids": 0, "gpu_bytes": 0}
    assert embedded.training_processes() == []


def test_running_job_is_diagnosed_already(embedded: Stack) -> None:
    """While a job trains its diagnosis can be read and is not final."""
    job_id = embedded.submit(**ENDLESS)["id"]
    embedded.started(job_id)

    diagnosis = embedded.get(job_id, "diagnosis")

    assert diagnosis["final"] is False
    embedded.http.post(f"/v1/jobs/{job_id}/cancel")
    embedded.finished(job_id)


def test_killed_training_process_is_replaced(embedded: Stack) -> None:
    """A job whose training process is killed is trained again, from an empty curve, to its end."""
    spec = SHORT | {"training": {"max_steps": 1500, "batch_size": 16}}
    job_id = embedded.submit(**spec)["id"]
    embedded.started(job_id)

    for process in embedded.training_processes():
        process.send_signal(signal.SIGKILL)
    job = embedded.finished(job_id)

    assert (job["status"], job["attempt"]) == ("succeeded", 2)
    assert embedded.get(job_id, "curves")["total_points"] == 1500


def test_dataset_whose_file_is_gone_is_a_typed_failure(embedded: Stack, data_dir: Path) -> None:
    """A job whose data cannot be read any more fails as `dataset_invalid`, at once."""
    dataset = embedded.http.post("/v1/datasets", files={"file": b"x\n" + b"1\n2\n3\n" * 20}).json()
    (data_dir / "artifacts" / "datasets" / dataset["id"] / "data.parquet").unlink()
    task = {"kind": "forecast", "target": "x", "inputs": ["x"], "seq_len": 5}
    spec = SHORT | {"dataset": {"kind": "upload", "dataset_id": dataset["id"], "task": task}}

    job = embedded.finished(embedded.submit(**spec)["id"])

    assert (job["status"], job["attempt"]) == ("failed", 1)
    assert job["error"]["code"] == "dataset_invalid"
    assert job["error"]["param"] == "/dataset"


def test_worker_that_was_frozen_can_write_nothing(roles: Stack) -> None:
    """A worker that is stopped past its lease and comes back lets go of the job it has lost."""
    spec = SHORT | {"training": {"max_steps": 4000, "batch_size": 16}}
    job_id = roles.submit(**spec)["id"]
    roles.started(job_id)
    frozen = [*roles.training_processes(), psutil.Process(roles.processes[-1].pid)]
    for process in frozen:
        process.suspend()
    roles.wait_until(lambda: roles.job(job_id)["status"] == "queued", 15)

    for process in reversed(frozen):
        process.resume()

    job = roles.finished(job_id)
    assert (job["status"], job["attempt"]) == ("succeeded", 2)
    assert roles.get(job_id, "curves")["total_points"] == 4000


def test_time_limit_is_a_typed_failure(embedded: Stack) -> None:
    """A job that runs longer than its limit fails with `time_limit` and the place of the limit."""
    job = embedded.finished(embedded.submit(**ENDLESS, run={"max_seconds": 1})["id"])

    assert job["status"] == "failed"
    assert job["error"]["code"] == "time_limit"
    assert job["error"]["param"] == "/run/max_seconds"


def test_job_for_a_missing_device_says_so(embedded: Stack) -> None:
    """A job for a GPU, on a service without one, says what it waits for."""
    job = embedded.submit(**SHORT, run={"device": "cuda"})

    waiting = embedded.job(job["id"])["waiting_for"]

    assert waiting == "a worker with device cuda: none is running"
    assert embedded.http.post(f"/v1/jobs/{job['id']}/cancel").json()["status"] == "cancelled"


def test_uploaded_series_is_forecast(embedded: Stack) -> None:
    """A CSV that is uploaded is trained on, and scored against persistence in its own units."""
    sunspots = Path(__file__).parents[2] / "examples" / "sunspots.csv"
    with sunspots.open("rb") as file:
        dataset = embedded.http.post("/v1/datasets", files={"file": file}).json()
    task = {"kind": "forecast", "target": "sunspots", "inputs": ["sunspots"], "seq_len": 12}
    spec = SHORT | {"dataset": {"kind": "upload", "dataset_id": dataset["id"], "task": task}}

    job = embedded.finished(embedded.submit(**spec)["id"])

    measures = embedded.get(job["id"], "diagnosis")["measures"]
    assert measures["loss_baseline"] > 100
    assert measures["loss_final"] > 100


def test_separate_roles_work_on_postgresql(roles: Stack) -> None:
    """Gateway and worker as processes of their own, PostgreSQL and a password at the broker."""
    job = roles.finished(roles.submit(**SHORT)["id"])

    assert job["status"] == "succeeded"
    assert roles.get(job["id"], "curves")["total_points"] == 60


def test_worker_that_is_told_to_stop_hands_its_job_back(roles: Stack) -> None:
    """On SIGTERM a worker ends its training process, and the job waits in the queue again."""
    job_id = roles.submit(**ENDLESS)["id"]
    roles.started(job_id)
    worker = roles.processes[-1]
    (training,) = roles.training_processes()

    worker.terminate()

    assert worker.wait(15) == 0
    assert roles.job(job_id)["status"] == "queued"
    assert not training.is_running()


def test_broker_that_is_gone_stops_nothing(roles: Stack) -> None:
    """With the broker killed a job is still accepted, and still run."""
    roles.processes[0].kill()

    job = roles.finished(roles.submit(**SHORT)["id"])

    assert job["status"] == "succeeded"


def test_second_start_goes_on_where_the_first_was_killed(tmp_path: Path) -> None:
    """After SIGKILL of the whole stack, a new start on the same folder ends the running job."""
    port = free_port()
    first = Stack([serve(tmp_path, port)], port)
    first.wait_until_ready()
    job_id = first.submit(**SHORT | {"training": {"max_steps": 1500, "batch_size": 16}})["id"]
    first.started(job_id)
    first.processes[0].kill()
    first.processes[0].wait()
    first.http.close()
    first.wait_until(lambda: not port_is_taken(port))

    with running(Stack([serve(tmp_path, port)], port)) as second:
        job = second.finished(job_id, seconds=60 + float(FAST["UNROLL_LEASE_S"]))

        assert (job["status"], job["attempt"]) == ("succeeded", 2)
        assert second.get(job_id, "curves")["total_points"] == 1500


def port_is_taken(port: int) -> bool:
    """Whether a gateway that outlived its parent for a moment still listens."""
    with socket.socket() as probe:
        return bool(probe.connect_ex(("127.0.0.1", port)) == 0)
