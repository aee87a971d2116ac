"""The worker: a Celery consumer for the doorbell, a poll of the database beside it."""

import logging
import secrets
import signal
import socket
import threading
from collections.abc import Callable
from importlib.util import find_spec
from types import FrameType

from celery.signals import worker_shutting_down

from contract.broker import TRAIN_TASK, make_celery, queue_of
from contract.errors import UnavailableError
from contract.settings import Settings
from contract.store import Store, check_schema
from worker.processes import has_cuda
from worker.supervisor import Identity, Supervisor

log = logging.getLogger(__name__)

# A worker that is silent for 15 s counts as gone.
_SEEN_EVERY_S = 5.0


def run_worker(device: str, settings: Settings) -> int:
    """Train jobs until told to stop; returns the exit code.

    Args:
        device: "cpu", "cuda", or "auto" for cuda where there is a GPU.
        settings: the worker's.
    """
    # This starts the fork server, too: its imports are over before the first job comes.
    gpu_is_there = has_cuda()
    if device == "cuda" and not gpu_is_there:
        log.error("no GPU is visible to torch; start with --device cpu")
        return 1
    kind = "cuda" if gpu_is_there and device != "cpu" else "cpu"
    if kind == "cuda" and settings.gpu_kernels and not find_spec("triton"):
        log.error("UNROLL_GPU_KERNELS needs triton, which is not installed")
        return 1
    store = Store(settings.resolved_database_url())
    check_schema(store.engine)
    name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    supervisor = Supervisor(store, Identity(name, kind), settings)
    stop = threading.Event()
    threads = [
        _repeat(_SEEN_EVERY_S, stop, lambda: store.workers.see(name, kind)),
        _repeat(settings.poll_s, stop, supervisor.work),
    ]
    log.info("worker ready", extra={"worker": name, "device": kind})
    _listen(settings, kind, supervisor, stop)
    _shut_down(supervisor, stop, threads)
    _quietly(lambda: store.workers.forget(name))
    store.close()
    return 0


def _repeat(seconds: float, stop: threading.Event, action: Callable[[], None]) -> threading.Thread:
    """Do something again and again until stopped; an unreachable database is borne."""

    def loop() -> None:
        while not stop.is_set():
            _quietly(action)
            stop.wait(seconds)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    return thread


def _quietly(action: Callable[[], None]) -> None:
    try:
        action()
    except UnavailableError:
        log.warning("the database is out of reach")


def _shut_down(
    supervisor: Supervisor, stop: threading.Event, threads: list[threading.Thread]
) -> None:
    stop.set()
    supervisor.stop()
    supervisor.wait_until_idle()
    for thread in threads:
        thread.join()


def _listen(settings: Settings, kind: str, supervisor: Supervisor, stop: threading.Event) -> None:
    """Wait for doorbells until told to stop; without a broker just wait, the poll does the work."""
    redis_url = settings.resolved_redis_url()
    if redis_url is None:
        _wait_for_signal(stop)
        return
    app = make_celery(redis_url)

    @app.task(name=TRAIN_TASK)  # type: ignore[untyped-decorator]
    def train(job_id: str) -> None:
        """Look for work; the id is only a hint, the claim decides."""
        log.debug("doorbell", extra={"job_id": job_id})
        supervisor.work()

    @worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def let_go(**_: object) -> None:
        stop.set()
        supervisor.stop()

    app.Worker(
        pool="threads",
        concurrency=1,
        queues=[queue_of(kind)],
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    ).start()


def _wait_for_signal(stop: threading.Event) -> None:
    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    stop.wait()
