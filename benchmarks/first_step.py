"""How long after its POST a job's first step can be read, on an idle worker.

Starts a stack of its own and measures over HTTP, as a client sees it: from sending the request to
the first answer whose progress shows a step. The POST alone is measured beside it.
"""

import statistics
import time

from benchmarks.figures import Timing, summarise
from benchmarks.outcome import Outcome
from benchmarks.row import ServiceRow
from service.client import Client, is_final
from service.demo_stack import running_stack

_JOBS = 20
_IDLE_AFTER_S = 1.0
_SPEC = {
    "dataset": {"kind": "adding", "seq_len": 100},
    "cell": {"kind": "rnn", "hidden_size": 64},
    "training": {"max_steps": 50, "batch_size": 32},
}


def measure_first_step(row: ServiceRow) -> Outcome:
    """Measure twenty jobs, one after another, each on a worker that is idle again."""
    with running_stack() as client:
        # The first job also waits for the worker to have started.
        _measure(client)
        samples = [_measure(client) for _ in range(_JOBS)]
    answered_ms, first_step_ms = (
        [1e3 * s for s in column] for column in zip(*samples, strict=True)
    )
    timing = Timing("wall", first_step_ms, None)
    note = (
        f"at most {max(first_step_ms):.0f} ms; POST answered after "
        f"{statistics.median(answered_ms):.0f} ms, at most {max(answered_ms):.0f} ms"
    )
    return Outcome(row.name, summarise(timing, row.target), None, [timing], note=note)


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
