import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

BLOCKED_IMPORT = """
import importlib.abc, sys
class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} is behind the wall")
sys.meta_path.insert(0, Wall())
{action}
"""


def run_walled(blocked: set[str], action: str) -> subprocess.CompletedProcess[str]:
    """Run statements in a fresh interpreter that cannot import some packages."""
    code = BLOCKED_IMPORT.format(blocked=blocked, action=action)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


TRAINERS = {"torch", "safetensors", "numba", "scipy", "sklearn", "threadpoolctl"}
SERVERS = {"fastapi", "starlette", "uvicorn", "service"}


@pytest.mark.parametrize(
    ("blocked", "action"),
    [
        (TRAINERS | {"worker"}, "import service.app, service.cli, service.embedded, service.demo"),
        (SERVERS, "import worker.app, worker.child"),
        (TRAINERS | SERVERS, "import worker.app, worker.supervisor"),
        (TRAINERS | SERVERS | {"worker"}, "import contract.store, contract.tabular"),
    ],
)
def test_package_loads_without_what_is_not_its_own(blocked: set[str], action: str) -> None:
    """The gateway needs no torch, the worker no FastAPI, the contract neither."""
    assert run_walled(blocked, action).stderr == ""


def test_wall_would_be_noticed() -> None:
    """The import blocker does block: a walled package cannot be loaded."""
    assert "behind the wall" in run_walled({"fastapi"}, "import service.app").stderr


@pytest.mark.parametrize(
    ("file", "breach"),
    [
        ("service/client.py", "import worker.app"),
        ("contract/job.py", "import torch"),
        ("worker/reporter.py", "import fastapi"),
        ("worker/diagnosis/history.py", "import torch"),
    ],
)
def test_broken_wall_is_caught(tmp_path: Path, file: str, breach: str) -> None:
    """An import through a wall, anywhere, fails the import contracts of `make check`."""
    for package in ("contract", "service", "worker"):
        shutil.copytree(ROOT / package, tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / file).open("a") as source:
        source.write(f"\n{breach}\n")

    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert lint.returncode == 1
    assert "BROKEN" in lint.stdout
