import json
from pathlib import Path

import pytest
import torch
from rich.console import Console

from benchmarks.figures import Timing, summarise
from benchmarks.machine import describe
from benchmarks.outcome import Outcome, read, write
from benchmarks.report import Result, make_table, verdict, write_results
from benchmarks.row import Measure, Target, TrainingRow
from benchmarks.work import Work

ROW = TrainingRow("some-row", Work("rnn"), "torch", Target(Measure.SPEED_UP, 4.0))
CPU = Timing("cpu", [2.0, 2.0], [6.0, 6.0])
WALL = Timing("wall", [2.0, 2.0], [7.0, 7.0])
OUTCOME = Outcome(
    "some-row",
    summarise(CPU, ROW.target),
    summarise(WALL, ROW.target),
    [CPU, WALL],
    floor_share=0.4,
    peak=1e11,
)


def printed(result: Result) -> list[str]:
    """The words of a row's line."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(make_table([result]))
    return capture.get().splitlines()[1].split()


def test_outcome_survives_its_file(tmp_path: Path) -> None:
    """What a row's process writes is what the table's process reads."""
    path = tmp_path / "outcome.json"

    write(OUTCOME, path)

    assert read(path) == OUTCOME


def test_line_has_both_sides_the_ratio_and_what_is_missing() -> None:
    """A line has both times, the ratio by both clocks, the floor, the target and the verdict."""
    words = "some-row torch 2 6 3x 3 to 3 3.5x 40 % at least 4x 25 % short"

    assert printed(Result(ROW, OUTCOME)) == words.split()


def test_row_that_failed_has_a_line() -> None:
    """A failed row is named with its target, not left out."""
    assert printed(Result(ROW, None)) == ["some-row", "torch", "at", "least", "4x", "failed"]


@pytest.mark.parametrize(
    ("measure", "missing", "words"),
    [
        (Measure.SPEED_UP, 0.0, "reached"),
        (Measure.SPEED_UP, 0.25, "25 % short"),
        (Measure.COST, 0.1, "10 % over"),
        (Measure.TIME, None, "for information"),
    ],
)
def test_verdict_in_words(measure: Measure, missing: float | None, words: str) -> None:
    """A verdict says whether the target is reached, or by how much not and in which direction."""
    assert verdict(Target(measure), missing) == words


def test_results_keep_the_machine_and_every_round(tmp_path: Path) -> None:
    """From the file alone the figures can be worked out again, and on what they were measured."""
    path = write_results([Result(ROW, OUTCOME)], describe(threads=1), tmp_path)

    document = json.loads(path.read_text())
    assert document["machine"]["threads"] == 1
    assert document["results"][0]["row"]["work"]["hidden_size"] == 64
    assert document["results"][0]["outcome"]["timings"][0]["peer_ms"] == [6.0, 6.0]


def test_machine_is_described_by_what_is_installed() -> None:
    """The description has the processor's name, its cores and the libraries' versions."""
    machine = describe(threads=1)

    assert machine.cpu
    assert machine.cores >= 1
    assert machine.versions["torch"] == torch.__version__
