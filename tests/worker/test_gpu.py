from pathlib import Path

import pytest

from worker.gpu import gpu_bytes_of


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the driver's command that reports three processes."""
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\nprintf '11, 100\\n12, 50\\n13, [N/A]\\n'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.mark.usefixtures("driver")
def test_memory_of_the_processes_is_added_up() -> None:
    """Only the named processes count; one whose memory the driver does not tell counts nothing."""
    assert gpu_bytes_of([12, 13, 99], "cuda") == 50 << 20
    assert gpu_bytes_of([11, 12], "cuda") == 150 << 20


@pytest.mark.usefixtures("driver")
def test_cpu_worker_holds_no_gpu_memory() -> None:
    """On a CPU worker the driver is not even asked."""
    assert gpu_bytes_of([11], "cpu") == 0


def test_machine_without_a_driver_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no driver there is no GPU memory to hold."""
    monkeypatch.setenv("PATH", "")

    assert gpu_bytes_of([11], "cuda") == 0
