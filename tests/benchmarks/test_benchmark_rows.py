import subprocess
import sys

import pytest

from benchmarks.row import ServiceRow, TrainingRow
from benchmarks.rows import ROWS, UnknownRowError, choose

TRAINING_ROWS = [row for row in ROWS if isinstance(row, TrainingRow)]


@pytest.mark.parametrize("row", TRAINING_ROWS, ids=lambda row: row.name)
def test_row_asks_for_what_the_service_offers(row: TrainingRow) -> None:
    """Each row's jobs are specs that the service accepts, one a job, with seeds of their own."""
    specs = row.work.specs()

    assert len({spec.training.seed for spec in specs}) == row.work.jobs


def test_names_of_rows_differ() -> None:
    """A name means one row."""
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_no_names_choose_all_rows() -> None:
    """Without names everything is measured, training and service."""
    assert choose([]) == list(ROWS)
    assert {type(row) for row in ROWS} == {TrainingRow, ServiceRow}


def test_names_choose_the_rows_that_begin_so() -> None:
    """`rnn` and `pack-short` choose the RNN's rows and one of the packs."""
    names = [row.name for row in choose(["rnn", "pack-short"])]

    assert names == [
        *("rnn-tanh", "rnn-relu", "rnn-leaky"),
        *("rnn-tanh-h128", "rnn-relu-h128", "rnn-leaky-h128"),
        "pack-short",
    ]


def test_name_that_no_row_has_is_refused() -> None:
    """A misspelt name is answered with the names there are."""
    with pytest.raises(UnknownRowError, match=r"'rmn'.*rnn-tanh"):
        choose(["rnn", "rmn"])


def test_command_refuses_a_name_that_no_row_has() -> None:
    """The command measures nothing then and ends with status 2."""
    command = [sys.executable, "-m", "benchmarks", "rmn"]

    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert "no row begins with 'rmn'" in ended.stdout
