"""A 500-step job from its POST to `succeeded`, against `python plain.py` from a cold start.

The job measures the gradient's flow at every step and is judged on held-out sequences at its end;
the plain program does neither. Both draw their own data. Wall time.
"""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figures import Timing, summarise
from benchmarks.outcome import Outcome
from benchmarks.row import ServiceRow
from benchmarks.work import EVERY_STEP, LR, MAX_NORM
from service.client import Client, is_final
from service.demo_stack import running_stack

_ROUNDS = 7
_IDLE_AFTER_S = 1.0
_PLAIN = Path(__file__).with_name("plain.py")
_SPEC = {
    "dataset": {"kind": "adding", "seq_len": 100},
    "cell": {"kind": "rnn", "hidden_size": 64},
    "remedy": {"clipping": {"kind": "norm", "max_norm": MAX_NORM}},
    "training": {
        "optimizer": {"kind": "adam", "lr": LR},
        "batch_size": 32,
        "max_steps": 500,
        "eval_every": 500,
    },
    "diagnostics": {"flow_every": EVERY_STEP},
}


def measure_cold_start(row: ServiceRow) -> Outcome:
    """Measure both in turn, after one of each that does not count.

    Raises:
        RuntimeError: a job did not succeed.
        subprocess.CalledProcessError: the plain program failed.
    """
    with running_stack() as client:
        rounds = [(_job(client), _plain()) for _ in range(1 + _ROUNDS)]
    ours_ms, peer_ms = ([1e3 * s for s in column] for column in zip(*rounds[1:], strict=True))
    timing = Timing("wall", ours_ms, peer_ms)
    return Outcome(row.name, summarise(timing, row.target), None, [timing])


def _job(client: Client) -> float:
    started = time.perf_counter()
    job = client.submit(_SPEC)
    while not is_final(job):
        time.sleep(0.005)
        job = client.job(job["id"])
    seconds = time.perf_counter() - started
    if job["status"] != "succeeded":
        raise RuntimeError(f"the job ended as {job['status']}: {job['error']}")
    # The training process is still ending; it must not slow the plain program down.
    time.sleep(_IDLE_AFTER_S)
    return seconds


def _plain() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, str(_PLAIN)], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - ourselves
    return time.perf_counter() - started
