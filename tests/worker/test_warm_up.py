"""What is in memory after the warm-up, seen from a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

_PROGRAM = Path(__file__).with_name("compilations.py")


def test_after_the_warm_up_no_first_step_has_to_compile() -> None:
    """Whatever the cell, direction, skip, optimizer and pack, and no GPU has been touched."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.worker.compilations"],
        cwd=_PROGRAM.parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(run.stdout)

    assert found["kernels"] > 20
    assert found["grown"] == []
    assert found["cuda"] is False
