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


def cells(result: Result) -> tuple[str, ...]:
    """A row's cells; what is equal for all seeds is said once."""
    return (
        result.id,
        result.arm,
        result.gate,
        f"{result.published} ({result.source})",
        _by_seed([seed.figures for seed in result.seeds]),
        _by_seed([str(seed.steps) for seed in result.seeds]),
        _by_seed([seed.verdict for seed in result.seeds]),
        f"{sum(seed.passed for seed in result.seeds)} of {len(result.seeds)}"
        + ("" if result.passed else ": NO"),
    )


def _row(result: Result) -> str:
    return f"| {' | '.join(cells(result))} |"


def _by_seed(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else ", ".join(values)
