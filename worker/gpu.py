"""What a job's processes hold of the GPU's memory, as the driver reports it."""

import shutil
import subprocess
from collections.abc import Sequence


def gpu_bytes_of(pids: Sequence[int], device: str) -> int:
    """Bytes of GPU memory held by the processes; 0 on a CPU worker.

    The driver is asked, not torch: it also knows of processes that do not answer any more.
    """
    command = shutil.which("nvidia-smi") if device == "cuda" else None
    if command is None:
        return 0
    query = [command, "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - fixed words
    return sum(mebibytes << 20 for pid, mebibytes in _rows(answer.stdout) if pid in pids)


def _rows(table: str) -> list[tuple[int, int]]:
    cells = [line.split(",") for line in table.splitlines()]
    # Memory reads "[N/A]" where the driver does not account by process.
    return [(int(pid), int(used)) for pid, used in cells if used.strip().isdigit()]
