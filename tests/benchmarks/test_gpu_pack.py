import os
import subprocess
import sys


def test_without_a_gpu_nothing_is_measured() -> None:
    """Where torch sees no GPU the benchmark says so, and has not failed."""
    command = [sys.executable, "-m", "benchmarks.gpu_pack"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}

    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 0
    assert "torch sees no GPU, so nothing was measured" in ended.stdout
