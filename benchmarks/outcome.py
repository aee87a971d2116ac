"""What the process of a row hands to the one that prints the table, as JSON in a file."""

from pathlib import Path

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from benchmarks.figures import Figures, Timing


@dataclass(frozen=True)
class Outcome:
    """A measured row."""

    row: str
    figures: Figures
    wall_figures: Figures | None
    """The same by wall time where `figures` are of CPU time."""
    timings: list[Timing]
    """What the figures are of, in their order."""
    floor_share: float | None = None
    """Share of our time that the matrix products would need at `peak`; None for whole jobs."""
    peak: float | None = None
    """Operations a CPU second of a large float32 matrix product in the same process."""
    note: str = ""


_OUTCOME = TypeAdapter(Outcome)


def write(outcome: Outcome, path: Path) -> None:
    """Write an outcome for `read`."""
    path.write_bytes(_OUTCOME.dump_json(outcome))


def read(path: Path) -> Outcome:
    """Read what `write` wrote."""
    return _OUTCOME.validate_json(path.read_bytes())
