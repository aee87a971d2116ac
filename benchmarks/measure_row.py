"""The process of one row: `python -m benchmarks.measure_row NAME FILE` leaves its outcome there."""

import sys
from pathlib import Path

from benchmarks.cold_start import measure_cold_start
from benchmarks.first_step import measure_first_step
from benchmarks.outcome import Outcome, write
from benchmarks.row import Row, ServiceRow
from benchmarks.rows import ROWS
from benchmarks.training_row import measure_training

_SERVICE_MEASURES = {"cold_start": measure_cold_start, "first_step": measure_first_step}


def main() -> int:
    """Measure the row that the command line names."""
    name, path = sys.argv[1:]
    row = next(row for row in ROWS if row.name == name)
    write(_measure(row), Path(path))
    return 0


def _measure(row: Row) -> Outcome:
    if isinstance(row, ServiceRow):
        return _SERVICE_MEASURES[row.measured_by](row)
    return measure_training(row)


if __name__ == "__main__":
    sys.exit(main())
