"""`make bench`: measure the rows, each in a process of its own, and print the table.

`python -m benchmarks rnn lstm` measures the rows whose names begin so. The exit status says whether
every row could be measured, not whether it reached its target.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.machine import describe
from benchmarks.outcome import Outcome, read
from benchmarks.report import Result, make_table, write_results
from benchmarks.row import Row, TrainingRow
from benchmarks.rows import UnknownRowError, choose

_THREADS = 1
_RESULTS = Path(__file__).with_name("results")
_WIDTH = 140


def main() -> int:
    """Measure and print; all figures are in a file of `benchmarks/results`, too."""
    console = Console(width=_WIDTH)
    try:
        rows = choose(sys.argv[1:])
    except UnknownRowError as error:
        console.print(str(error))
        return 2
    # Before any row: the load is that of others, not of the rows.
    machine = describe(_THREADS)
    results = [_measure(row, console) for row in rows]
    console.print(make_table(results))
    _print_footnotes(results, console)
    console.print(f"load when it began: {machine.load[0]:.1f} on {machine.cores} cores")
    console.print(f"Every round is in {write_results(results, machine, _RESULTS)}.")
    return 0 if all(result.outcome for result in results) else 1


def _measure(row: Row, console: Console) -> Result:
    console.print(f"measuring {row.name} …")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcome.json"
        command = [sys.executable, "-m", "benchmarks.measure_row", row.name, str(path)]
        ended = subprocess.run(  # noqa: S603 - ourselves
            command, env=_environment(row), capture_output=True, text=True, check=False
        )
        if ended.returncode:
            console.print(ended.stderr, markup=False)
            return Result(row, None)
        return Result(row, read(path))


def _environment(row: Row) -> dict[str, str]:
    """One thread for every library, and Keras on the backend that the row names."""
    pools = ("OMP", "MKL", "OPENBLAS", "NUMBA")
    environment = os.environ | {f"{pool}_NUM_THREADS": str(_THREADS) for pool in pools}
    environment["JAX_PLATFORMS"] = "cpu"
    environment["XLA_FLAGS"] = (
        f"--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads={_THREADS}"
    )
    if isinstance(row, TrainingRow) and row.peer.startswith("keras-"):
        environment["KERAS_BACKEND"] = row.peer.removeprefix("keras-")
    return environment


def _print_footnotes(results: list[Result], console: Console) -> None:
    outcomes: list[Outcome] = [result.outcome for result in results if result.outcome]
    peaks = [outcome.peak / 1e9 for outcome in outcomes if outcome.peak]
    if peaks:
        console.print(
            "floor: the share of our time that the matrix products would need at the speed of a "
            f"large one in the same process: {min(peaks):.0f} to {max(peaks):.0f} GFLOP/s"
        )
    for outcome in outcomes:
        if outcome.note:
            console.print(f"{outcome.row}: {outcome.note}")


if __name__ == "__main__":
    sys.exit(main())
