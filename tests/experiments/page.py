"""The results as a table on the page `docs/experiments.md`, between two markers."""

from collections.abc import Sequence
from pathlib import Path

from tests.experiments.result import Result

_BEGIN = "<!-- table: begin -->"
_END = "<!-- table: end -->"

_HEADER = (
    "| id | experiment | gate | published | ours, by seed | steps | verdict | passed |",
    "|---|---|---|---|---|---|---|---|",
)


def with_table(page: str, results: Sequence[Result]) -> str:
    """The page with its table made anew.

    Raises:
        ValueError: if a marker is missing.
    """
    before, rest = page.split(_BEGIN)
    _, after = rest.split(_END)
    table = "\n".join([*_HEADER, *(_row(result) for result in results)])
    return f"{before}{_BEGIN}\n{table}\n{_END}{after}"


def write_table(path: Path, results: Sequence[Result]) -> None:
    """Make the table of a page anew."""
    path.write_text(with_table(path.read_text(encoding="utf-8"), results), encoding="utf-8")


def _row(result: Result) -> str:
    cells = (
        result.id,
        result.arm,
        result.gate,
        f"{result.published} ({result.source})",
        result.figures,
        result.steps,
        result.verdicts,
        result.count,
    )
    return f"| {' | '.join(cells)} |"
