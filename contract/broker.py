"""The doorbell: Celery messages that hold a job id and nothing else."""

from typing import Final

from celery import Celery

TRAIN_TASK: Final = "unroll.train"
DEVICES: Final = ("cpu", "cuda")
MOST_RINGS: Final = 64


def queue_of(device: str) -> str:
    """The queue that workers with this kind of device listen to."""
    return f"unroll.{device}"


def queues_for(device: str) -> tuple[str, ...]:
    """The queues to ring for a job: all of them if any device will do.

    A worker that finds nothing left to claim does nothing, so a second ring is harmless.
    """
    return tuple(queue_of(kind) for kind in (DEVICES if device == "auto" else (device,)))


def make_celery(redis_url: str) -> Celery:
    """A Celery app that speaks JSON only, acknowledges early and keeps no results.

    The row in the database is the truth; a message that is lost or doubled harms nothing, and
    the sweeper rings again.
    """
    app = Celery("unroll", broker=redis_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        task_default_queue=queue_of("cpu"),
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        # A half-open connection left workers deaf for over 100 s without these.
        broker_transport_options={
            "visibility_timeout": 3600,
            "unacked_restore_throttle": 1,
            "socket_timeout": 10,
            "socket_connect_timeout": 3,
            "socket_keepalive": not redis_url.startswith("redis+socket"),
            "health_check_interval": 5,
            "global_keyprefix": "unroll:",
        },
    )
    return app


def ring(app: Celery, job_id: str, device: str) -> None:
    """Tell the workers of a kind of device that there is work.

    A queue in which enough rings wait already gets no more: where nobody listens they would pile
    up, and a worker that is woken once works until there is nothing left.

    Raises:
        kombu.exceptions.OperationalError: the broker cannot be reached; the sweeper tries again.
    """
    for queue in queues_for(device):
        if count_rings(app, queue) < MOST_RINGS:
            app.send_task(TRAIN_TASK, args=[job_id], queue=queue, retry=False)


def count_rings(app: Celery, queue: str) -> int:
    """Rings that no worker has heard yet."""
    with app.connection_or_acquire() as connection:
        # Not passive: with a key prefix kombu's passive form finds no queue at all.
        return int(connection.default_channel.queue_declare(queue=queue).message_count)
