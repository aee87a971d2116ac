"""`docs/experiments.md` shows the stored results, and they are of the experiments as they are."""

from pathlib import Path

from tests.experiments.page import with_table
from tests.experiments.result import make_result, read_results
from tests.experiments.table import EXPERIMENTS

_DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_shows_the_stored_results() -> None:
    """Making its table anew changes nothing."""
    page = (_DOCS / "experiments.md").read_text(encoding="utf-8")

    assert with_table(page, read_results(_DOCS / "experiments.json")) == page


def test_stored_results_were_judged_by_the_present_gates() -> None:
    """Whoever changes an experiment runs it again."""
    present = {experiment.name: make_result(experiment, (), 0) for experiment in EXPERIMENTS}

    for stored in read_results(_DOCS / "experiments.json"):
        assert stored.gate == present[stored.name].gate
        assert stored.published == present[stored.name].published
