"""The table at the end, and the file that keeps all of it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from benchmarks.machine import Machine
from benchmarks.outcome import Outcome
from benchmarks.row import Measure, Row, Target, TrainingRow

_COLUMNS = (
    "row", "against", "ours ms", "peer ms", "figure", "spread", "by wall", "floor", "target",
    "verdict",
)  # fmt: skip
_UNITS = {Measure.SPEED_UP: "x", Measure.COST: "x", Measure.TIME: " ms"}
_BOUNDS = {Measure.SPEED_UP: "at least", Measure.COST: "at most", Measure.TIME: "at most"}
_THREE_DIGITS = 100


@dataclass(frozen=True)
class Result:
    """A row and what became of it."""

    row: Row
    outcome: Outcome | None
    """None: the row's process failed."""


def make_table(results: Sequence[Result]) -> Table:
    """A line for each row: medians, their ratio, its quartiles over the rounds, the target.

    Training rows are by CPU time, with the figure by wall time beside it; the others by wall time.
    """
    table = Table(*_COLUMNS, box=None)
    for result in results:
        table.add_row(*_cells(result))
    return table


def write_results(results: Sequence[Result], machine: Machine, folder: Path) -> Path:
    """Write a run, every round of it, to a file named after this moment."""
    now = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now:%Y-%m-%dT%H%M%SZ}.json"
    document = {
        "measured_at": now.isoformat(timespec="seconds"),
        "machine": asdict(machine),
        "results": [asdict(result) for result in results],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def verdict(target: Target, missing: float | None) -> str:
    """In words, whether a target is reached, or by how much not.

    Args:
        target: of the row.
        missing: share of the bound by which it is missed; None if there is no bound.
    """
    if missing is None:
        return "for information"
    if not missing:
        return "reached"
    return f"{100 * missing:.0f} % {'short' if target.measure is Measure.SPEED_UP else 'over'}"


def bound(target: Target) -> str:
    """A target in words; nothing for a row without one."""
    if target.bound is None:
        return ""
    return f"{_BOUNDS[target.measure]} {target.bound:g}{_UNITS[target.measure]}"


def _cells(result: Result) -> list[str]:
    row, outcome = result.row, result.outcome
    against = row.peer if isinstance(row, TrainingRow) else ""
    if outcome is None:
        return [row.name, against, *[""] * 6, bound(row.target), "failed"]
    figures, wall, unit = outcome.figures, outcome.wall_figures, _UNITS[row.target.measure]
    low, high = figures.spread
    return [
        row.name,
        against,
        _milliseconds(figures.ours_ms),
        _milliseconds(figures.peer_ms) if figures.peer_ms else "",
        f"{figures.value:.3g}{unit}",
        f"{low:.3g} to {high:.3g}",
        f"{wall.value:.3g}{unit}" if wall else "",
        f"{100 * outcome.floor_share:.0f} %" if outcome.floor_share else "",
        bound(row.target),
        verdict(row.target, figures.missing),
    ]


def _milliseconds(value: float) -> str:
    return f"{value:.3g}" if value < _THREE_DIGITS else f"{value:.0f}"
