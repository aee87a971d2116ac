import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_walls import run_walled

ROOT = Path(__file__).parents[2]


def start(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Start a gateway that must give up by itself."""
    environment = {f"UNROLL_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "service"],
        cwd=ROOT,
        env={**os.environ, "UNROLL_DATA_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            {"database_url": "postgresql+psycopg://nobody:secret@127.0.0.1:1/none"},
            "the database cannot be reached",
        ),
        ({}, "run `unroll migrate`"),
        ({"host": "0.0.0.0"}, "no key is set"),  # noqa: S104 - what must be refused
        ({"port": "many"}, "UNROLL_PORT: Input should be a valid integer"),
    ],
)
def test_gateway_that_cannot_start_says_why(
    tmp_path: Path, settings: dict[str, str], reason: str
) -> None:
    """A gateway gives up with one line that names the reason, and nothing secret in it."""
    ended = start(tmp_path, **settings)

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert reason in ended.stderr
    assert "secret" not in ended.stderr


def test_app_is_made_without_the_worker_s_packages() -> None:
    """An app can be made, with its document, where neither torch nor the worker is installed."""
    action = (
        "from contract.settings import Settings; from service.app import create_app; "
        "create_app(Settings()).openapi()"
    )

    assert run_walled({"torch", "safetensors", "worker"}, action).stderr == ""
