"""How long after its POST a job's first step can be read, on an idle worker; `make bench`.

Starts a stack of its own and measures over HTTP, as a client sees it: from sending the request to
the first answer whose progress shows a step. The POST alone is measured beside it.
"""

import statistics
import sys
import time

from rich.console import Console

from service.client import Client, is_final
from service.demo_stack import running_stack

_JOBS = 20
_IDLE_AFTER_S = 1.0
_SPEC = {
    "dataset": {"kind": "adding", "seq_len": 100},
    "cell": {"kind": "rnn", "hidden_size": 64},
    "training": {"max_steps": 50, "batch_size": 32},
}


def main() -> int:
    """Measure and print medians and maxima in milliseconds."""
    with running_stack() as client:
        # The first job also waits for the worker to have started.
        _measure(client)
        samples = [_measure(client) for _ in range(_JOBS)]
    console = Console()
    for name, times in zip(
        ("POST answered", "first step read"), zip(*samples, strict=True), strict=True
    ):
        in_ms = [1e3 * seconds for seconds in times]
        console.print(f"{name}: median {statistics.median(in_ms):.0f} ms, max {max(in_ms):.0f} ms")
    return 0


def _measure(client: Client) -> tuple[float, float]:
    started = time.perf_counter()
    job = client.submit(_SPEC)
    answered = time.perf_counter() - started
    while not job["progress"]["step"]:
        time.sleep(0.002)
        job = client.job(job["id"])
    first_step = time.perf_counter() - started
    while not is_final(job):
        time.sleep(0.01)
        job = client.job(job["id"])
    # The last training process is still ending; only then is the worker idle again.
    time.sleep(_IDLE_AFTER_S)
    return answered, first_step


if __name__ == "__main__":
    sys.exit(main())
