"""A job's progress as a live bar, its events above it, and its diagnosis in a few lines."""

import math
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from contract.job import NO_WORKER, JobStatus
from service.client import Client, JsonObject, is_final

_POLL_S = 0.2
_PATIENCE_S = 3.0
_FIRST_START = (
    "No worker is up yet. The first start on a machine compiles the kernels, once, which takes "
    "half a minute."
)
_STATUSES = frozenset(JobStatus)


def watch_job(client: Client, job: JsonObject, label: str, console: Console) -> JsonObject:
    """Show a bar until the job is final, and what its training decides as it comes.

    Returns:
        The job as it ended.
    """
    with _bar(console) as progress:
        total = job["progress"]["max_steps"]
        task = progress.add_task(label, total=total, state=_state(job))
        last_event, explain_at = 0, time.monotonic() + _PATIENCE_S
        while True:
            # The events of a job that is final by now are all there.
            last_event = _show_events(client, job["id"], last_event, console)
            _show(progress, task, job)
            if is_final(job):
                return job
            if job["waiting_for"] == NO_WORKER and time.monotonic() > explain_at:
                console.print(_FIRST_START)
                explain_at = math.inf
            time.sleep(_POLL_S)
            job = client.job(job["id"])


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TextColumn("{task.completed:>6.0f}/{task.total:.0f} steps"),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        console=console,
    )


def _show_events(client: Client, job_id: str, after: int, console: Console) -> int:
    """Print what is new, but for changes of status, which the bar shows; returns the last id."""
    while events := client.events(job_id, after):
        for event in events:
            if event["kind"] not in _STATUSES:
                console.print(f"  step {event['step']}: {_told(event)}")
        after = events[-1]["id"]
    return after


def _told(event: JsonObject) -> str:
    numbers = ", ".join(f"{name} {_value(value)}" for name, value in event["detail"].items())
    return f"{event['kind']} ({numbers})"


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else shown(value)


def _show(progress: Progress, task: TaskID, job: JsonObject) -> None:
    progress.update(task, completed=job["progress"]["step"], state=_state(job))


def _state(job: JsonObject) -> str:
    if job["waiting_for"]:
        return f"waits for {job['waiting_for']}"
    loss = job["latest"]["val_loss"]
    if loss is None:
        loss = job["latest"]["loss"]
    return str(job["status"]) if loss is None else f"{job['status']}, loss {loss:.4g}"


def show_diagnosis(diagnosis: JsonObject, console: Console) -> None:
    """Print the verdict, its evidence and the best remedies."""
    console.print(f"  [bold]{diagnosis['verdict']}[/bold]: {diagnosis['summary']}")
    for finding in diagnosis["findings"]:
        numbers = ", ".join(f"{name} {shown(value)}" for name, value in finding["evidence"].items())
        console.print(f"  - {finding['code']} ({finding['severity']}): {numbers}")
    for prescription in diagnosis["prescriptions"][:3]:
        rank, title, source = (prescription[key] for key in ("rank", "title", "source"))
        console.print(f"  {rank}. {title} — {source}")


def shown(value: float | None) -> str:
    """A number in four digits; a dash where there is none."""
    return "-" if value is None else f"{value:.4g}"
