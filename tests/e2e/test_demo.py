import subprocess
import sys


def test_demonstration_comes_out_as_told() -> None:
    """Both problems happen and are cured, and the forecast beats persistence."""
    run = subprocess.run(
        [sys.executable, "-m", "service.demo"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    for word in ("vanishing_", "diverged", "healthy", "sunspots"):
        assert word in run.stdout
