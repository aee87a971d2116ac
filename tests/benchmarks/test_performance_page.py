from pathlib import Path

from benchmarks.report import bound
from benchmarks.rows import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def test_page_has_every_row_and_its_target() -> None:
    """The page lists the rows in their order, each with the target that the code holds it to."""
    rows = PAGE.read_text().split("## Rows")[1].split("## ")[0].splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows if "| `" in row]

    assert [(name, target) for name, _, _, target, _ in cells] == [
        (f"`{row.name}`", bound(row.target)) for row in ROWS
    ]
