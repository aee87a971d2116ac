import json
import os
import subprocess
import sys
from pathlib import Path

from service.client import Client
from tests.e2e.stack import Stack

SPEC = {
    "dataset": {"kind": "delayed_recall", "seq_len": 10},
    "cell": {"kind": "rnn", "hidden_size": 8},
    "training": {"max_steps": 30, "eval_every": 10, "batch_size": 8},
}


def unroll(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_submit_watches_and_shows_the_diagnosis(embedded: Stack, tmp_path: Path) -> None:
    """`unroll submit --watch` follows a job to its end and prints its verdict."""
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))

    run = unroll("submit", str(path), "--watch", "--url", str(embedded.http.base_url))

    assert run.returncode == 0, run.stderr
    assert "30/30 steps" in run.stdout
    assert "job_" in run.stdout


def test_submit_explains_a_refusal(embedded: Stack, tmp_path: Path) -> None:
    """A spec that is refused ends the command with the place that is wrong."""
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC | {"cell": {"kind": "rnn", "hidden_size": 0}}))

    run = unroll("submit", str(path), "--url", str(embedded.http.base_url))

    assert run.returncode == 1
    assert "/cell/hidden_size" in run.stderr


def test_submit_without_a_service_says_so(tmp_path: Path) -> None:
    """A service that is not there is named, without a traceback."""
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))

    run = unroll("submit", str(path), "--url", "http://127.0.0.1:1")

    assert run.returncode == 1
    assert "no service at http://127.0.0.1:1" in run.stderr
    assert "Traceback" not in run.stderr


def test_second_serve_on_a_folder_is_refused(embedded: Stack) -> None:
    """Two embedded stacks never share a data folder."""
    (process,) = embedded.processes
    arguments = [str(argument) for argument in process.args]  # type: ignore[union-attr]
    data_dir = arguments[arguments.index("--data-dir") + 1]

    run = unroll("serve", "--port", "0", "--data-dir", data_dir)

    assert run.returncode == 1
    assert "already uses" in run.stderr


def test_serve_on_a_taken_port_says_so(embedded: Stack, tmp_path: Path) -> None:
    """A port that something listens on ends the command at once, the reason named."""
    port = str(embedded.http.base_url.port)

    run = unroll("serve", "--port", port, "--data-dir", str(tmp_path))

    assert run.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in run.stderr


def test_gateway_beyond_loopback_needs_a_key(tmp_path: Path) -> None:
    """Without a key the gateway refuses to listen where others can reach it, and says why."""
    run = unroll("gateway", UNROLL_HOST="0.0.0.0", UNROLL_DATA_DIR=str(tmp_path))  # noqa: S104 - refused

    assert run.returncode == 1
    assert "UNROLL_API_KEYS" in run.stderr
    assert "Traceback" not in run.stderr


def test_roles_need_the_schema(tmp_path: Path) -> None:
    """Gateway and worker on a database that was never migrated say what to run."""
    for role in ("gateway", "worker"):
        run = unroll(role, UNROLL_DATA_DIR=str(tmp_path))

        assert run.returncode == 1
        assert "unroll migrate" in run.stderr


def test_migrate_prepares_a_database(tmp_path: Path) -> None:
    """`unroll migrate` can be run again and again."""
    for _ in range(2):
        run = unroll("migrate", UNROLL_DATA_DIR=str(tmp_path))

        assert run.returncode == 0, run.stderr


def test_client_knows_when_nobody_is_ready() -> None:
    """A client of a service that is not there reports it as not ready."""
    with Client("http://127.0.0.1:1") as client:
        assert client.is_ready() is False
