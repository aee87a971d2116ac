"""`make demo`: the tutorial's two problems happen and are cured, and a forecast on real data."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from service.client import Client, JsonObject
from service.demo_stack import running_stack
from service.watch import show_diagnosis, shown, watch_job

_SUNSPOTS: Final = Path(__file__).resolve().parent.parent / "examples" / "sunspots.csv"


@dataclass(frozen=True)
class Story:
    """A job to run, what must come of it, and whether its first prescription is tried."""

    label: str
    spec: JsonObject
    expected: frozenset[str]
    cured: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a job."""

    label: str
    job: JsonObject
    diagnosis: JsonObject
    is_as_expected: bool


def main() -> int:
    """Run every story through a stack of its own; returns 0 if each came out as it must."""
    console = Console()
    with running_stack() as client:
        dataset = client.upload(_SUNSPOTS, "yearly sunspots")
        outcomes = [
            outcome
            for story in _stories(dataset["id"])
            for outcome in _tell(client, story, console)
        ]
    console.print(_table(outcomes))
    surprises = [outcome.label for outcome in outcomes if not outcome.is_as_expected]
    console.print(f"Not as expected: {'; '.join(surprises)}" if surprises else "All as expected.")
    return 1 if surprises else 0


def _stories(dataset_id: str) -> list[Story]:
    return [
        Story("recall 5", _recall(gap=5), frozenset({"healthy"})),
        Story("recall 60", _recall(gap=60), frozenset({"vanishing_gradient"}), cured=True),
        Story(
            "exploding",
            _exploding(),
            frozenset({"diverged", "exploding_gradient"}),
            cured=True,
        ),
        Story("sunspots", _sunspots(dataset_id), frozenset({"healthy"})),
    ]


def _recall(gap: int) -> JsonObject:
    return {
        "name": f"subject recall, gap {gap}",
        "dataset": {"kind": "subject_recall", "gap": gap},
        "cell": {"kind": "rnn", "hidden_size": 64},
        "training": {
            "optimizer": {"kind": "adam", "lr": 0.001},
            "max_steps": 1000,
            "stop": {"kind": "target", "below": 0.02},
        },
    }


def _exploding() -> JsonObject:
    return {
        "name": "adding, recurrent gain 2, plain SGD",
        "dataset": {"kind": "adding", "seq_len": 100},
        "cell": {"kind": "rnn", "hidden_size": 64},
        "remedy": {"init": {"kind": "xavier_normal", "gain": 2.0}},
        "training": {"optimizer": {"kind": "sgd", "lr": 0.1}, "max_steps": 300},
    }


def _sunspots(dataset_id: str) -> JsonObject:
    task: dict[str, Any] = {
        "kind": "forecast",
        "target": "sunspots",
        "inputs": ["sunspots"],
        "seq_len": 24,
        "time": "year",
    }
    return {
        "name": "yearly sunspots, one year ahead",
        "dataset": {"kind": "upload", "dataset_id": dataset_id, "task": task},
        "cell": {"kind": "lstm", "hidden_size": 32},
        "remedy": {"clipping": {"kind": "norm"}, "lr_control": {"kind": "cosine"}},
        "training": {"optimizer": {"kind": "adam", "lr": 0.005}, "max_steps": 400},
    }


def _tell(client: Client, story: Story, console: Console) -> Iterator[Outcome]:
    """Run the story's job and, if it is to be cured, a fork by its first prescription."""
    first = _run(client, story.label, client.submit(story.spec), console)
    yield _outcome(story.label, *first, is_as_expected=first[1]["verdict"] in story.expected)
    prescriptions = first[1]["prescriptions"]
    if not (story.cured and prescriptions):
        return
    best = prescriptions[0]
    label = f"{story.label}, cured"
    console.print(f"[dim]Fork, to {best['title'].lower()}: {best['patch']}[/dim]")
    cured = _run(client, label, client.fork(first[0]["id"], best["patch"]), console)
    yield _outcome(label, *cured, is_as_expected=_is_cured(story, *cured))


def _is_cured(story: Story, job: JsonObject, diagnosis: JsonObject) -> bool:
    """A vanishing run must learn; one that exploded must stay finite to its last step."""
    if "vanishing_gradient" in story.expected:
        return bool(diagnosis["verdict"] == "healthy")
    has_all_steps = job["progress"]["step"] == job["progress"]["max_steps"]
    return bool(has_all_steps and diagnosis["measures"]["nonfinite_count"] == 0)


def _run(
    client: Client, label: str, job: JsonObject, console: Console
) -> tuple[JsonObject, JsonObject]:
    job = watch_job(client, job, label, console)
    diagnosis = client.diagnosis(job["id"])
    show_diagnosis(diagnosis, console)
    return job, diagnosis


def _outcome(
    label: str, job: JsonObject, diagnosis: JsonObject, *, is_as_expected: bool
) -> Outcome:
    return Outcome(label, job, diagnosis, is_as_expected and job["status"] == "succeeded")


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for heading in ("spec", "verdict", "reach", "final loss", "baseline", "seconds"):
        table.add_column(heading)
    for outcome in outcomes:
        measures = outcome.diagnosis["measures"]
        table.add_row(
            outcome.label,
            outcome.diagnosis["verdict"],
            f"{shown(measures['reach'])} of {measures['seq_len']}",
            shown(measures["loss_final"]),
            shown(measures["loss_baseline"]),
            f"{_seconds(outcome.job):.1f}",
        )
    return table


def _seconds(job: JsonObject) -> float:
    started, finished = (datetime.fromisoformat(job[key]) for key in ("started_at", "finished_at"))
    return (finished - started).total_seconds()


if __name__ == "__main__":
    sys.exit(main())
