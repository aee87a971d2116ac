"""`make experiments`: runs the table, prints it, and writes it to the docs.

    python -m tests.experiments [--long] [id ...]

Results of experiments that are not run now are kept.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from rich.console import Console
from rich.table import Table

from tests.experiments.experiment import Experiment
from tests.experiments.page import write_table
from tests.experiments.result import Result, make_result, read_results, write_results
from tests.experiments.runner import run
from tests.experiments.table import EXPERIMENTS

_DOCS: Final = Path(__file__).parents[2] / "docs"
_PAGE: Final = _DOCS / "experiments.md"
_RESULTS: Final = _DOCS / "experiments.json"
_COLUMNS: Final = ("id", "experiment", "gate", "published", "ours, by seed", "passed")


def main() -> int:
    """Run what was asked for; returns 0 if every one of them passed."""
    # One thread: the same bits and comparable seconds wherever it runs.
    torch.set_num_threads(1)
    chosen = _chosen(_arguments())
    console = Console()
    results: list[Result] = []
    for experiment in chosen:
        with console.status(experiment.name):
            results.append(_measured(experiment))
        # Written at once: a long table is worth keeping if it is ended half-way.
        _write(results)
    console.print(_shown(results))
    failed = [result.name for result in results if not result.passed]
    console.print(f"Not as published: {'; '.join(failed)}" if failed else "All as published.")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ids", nargs="*", help="such as E3a; none is all quick ones")
    parser.add_argument("--long", action="store_true", help="the long ones too")
    return parser.parse_args()


def _chosen(arguments: argparse.Namespace) -> list[Experiment]:
    if arguments.ids:
        return [experiment for experiment in EXPERIMENTS if experiment.id in arguments.ids]
    return [experiment for experiment in EXPERIMENTS if experiment.is_quick or arguments.long]


def _measured(experiment: Experiment) -> Result:
    started = time.process_time()
    outcomes = run(experiment)
    return make_result(experiment, outcomes, time.process_time() - started)


def _write(results: Sequence[Result]) -> None:
    known = {result.name: result for result in (*read_results(_RESULTS), *results)}
    names = [experiment.name for experiment in EXPERIMENTS]
    in_order = [known[name] for name in names if name in known]
    write_results(_RESULTS, in_order)
    write_table(_PAGE, in_order)


def _shown(results: Sequence[Result]) -> Table:
    table = Table(show_lines=True)
    for column in _COLUMNS:
        table.add_column(column, overflow="fold")
    for result in results:
        row = (result.id, result.arm, result.gate, result.published, result.figures, result.count)
        table.add_row(*row, style=None if result.passed else "red")
    return table


if __name__ == "__main__":
    sys.exit(main())
