"""`make bench-profile`: where the time of one LSTM training step goes.

The parts of the kernel are timed by themselves, each many times over on the arrays of one time
step, and beside them the whole training step as `make bench` takes it. What the parts do not
account for is everything outside the loops over time: batches, readout, clipping, optimizer,
records; and waiting for memory, as one time step's arrays stay in the cache and a hundred do not.
"""

import sys
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.sides.ours import Ours
from benchmarks.work import Work
from worker.cells.accumulate import add_term, sum_of_squares
from worker.cells.compiled import compiled
from worker.cells.lstm.cpu import count_flat, open_gates, to_deltas, update_state
from worker.cells.matmul import (
    Floats,
    multiply,
    multiply_left_transposed,
    multiply_right_transposed,
)

_TIME_STEPS, _SEQUENCES, _HIDDEN, _INPUTS = 100, 32, 64, 2
_READS = _HIDDEN + 1 + _INPUTS
_REPEATS, _ROUNDS, _STEPS = 200, 25, 20


@compiled
def _repeat_forward_product(times: int, weight_GF: Floats, z_FB: Floats, gates_GB: Floats) -> None:
    for _ in range(times):
        multiply(weight_GF, z_FB, gates_GB, False)  # noqa: FBT003 - compiled


@compiled
def _repeat_terms(
    times: int, gates_GB: Floats, z_FB: Floats, term_GH: Floats, rest_GR: Floats
) -> None:
    size = term_GH.shape[1]
    for _ in range(times):
        multiply_right_transposed(gates_GB, z_FB[:size], term_GH, False)  # noqa: FBT003 - compiled
        multiply_right_transposed(gates_GB, z_FB[size:], rest_GR, True)  # noqa: FBT003 - compiled


@compiled
def _repeat_back_product(times: int, weight_GF: Floats, gates_GB: Floats, grad_HB: Floats) -> None:
    for _ in range(times):
        multiply_left_transposed(weight_GF[:, : grad_HB.shape[0]], gates_GB, grad_HB, False)  # noqa: FBT003 - compiled


@compiled
def _repeat_gates(times: int, gates_GB: Floats, size: int) -> None:
    for _ in range(times):
        open_gates(gates_GB, size)


@compiled
def _repeat_state(times: int, gates_N: Floats, c_N: Floats, new_c_N: Floats, h_N: Floats) -> None:
    for _ in range(times):
        update_state(gates_N, c_N, new_c_N, h_N)


@compiled
def _repeat_deltas(
    times: int, gates_N: Floats, c_N: Floats, new_c_N: Floats, grads: tuple[Floats, Floats]
) -> None:
    for _ in range(times):
        to_deltas(gates_N, c_N, new_c_N, grads[0], grads[1])


@compiled
def _repeat_adding(times: int, term_GH: Floats, total_GH: Floats) -> float:
    total = 0.0
    for _ in range(times):
        total += add_term(term_GH, total_GH)
    return total


@compiled
def _repeat_measures(times: int, gates_GB: Floats, grad_N: Floats, size: int) -> float:
    total = 0.0
    for _ in range(times):
        total += sum_of_squares(grad_N) + sum_of_squares(grad_N) + count_flat(gates_GB, size)
    return total


def main() -> int:
    """Measure and print, in milliseconds a training step."""
    parts = {name: _best(part) for name, part in _parts().items()}
    ours = Ours(Work("lstm").specs())
    ours.run(_STEPS)
    whole = min(_seconds(lambda: ours.run(_STEPS)) / _STEPS for _ in range(_ROUNDS)) * 1e3
    parts["all else, and memory"] = whole - sum(parts.values())
    table = Table("part", "ms", "share")
    for name, milliseconds in parts.items():
        table.add_row(name, f"{milliseconds:.2f}", f"{milliseconds / whole:.0%}")
    table.add_row("whole training step", f"{whole:.2f}", "100%")
    console = Console()
    console.print(f"LSTM, T = {_TIME_STEPS}, B = {_SEQUENCES}, H = {_HIDDEN}, float32, one thread")
    console.print(table)
    return 0


def _parts() -> dict[str, Callable[[], object]]:
    """By name, what does the work of one time step `_REPEATS` times."""
    drawn = np.random.default_rng(0)

    def random(*shape: int) -> Floats:
        return drawn.standard_normal(shape).astype(np.float32)

    gates_GB, weight_GF, z_FB = (
        random(4 * _HIDDEN, _SEQUENCES),
        random(4 * _HIDDEN, _READS),
        random(_READS, _SEQUENCES),
    )
    grad_HB, term_GH = random(_HIDDEN, _SEQUENCES), random(4 * _HIDDEN, _HIDDEN)
    rest_GR = random(4 * _HIDDEN, 1 + _INPUTS)
    c_N, new_c_N, h_N, grad_N = random(4, _HIDDEN * _SEQUENCES)
    gates_N = gates_GB.copy().reshape(-1)
    return {
        "gates: W z": lambda: _repeat_forward_product(_REPEATS, weight_GF, z_FB, gates_GB.copy()),
        "gates: sigmoid, tanh": lambda: _repeat_gates(_REPEATS, gates_GB.copy(), _HIDDEN),
        "state c and h": lambda: _repeat_state(_REPEATS, gates_N, c_N, new_c_N, h_N),
        "back: deltas": lambda: _repeat_deltas(
            _REPEATS, gates_N, c_N, new_c_N, (grad_N.copy(), grad_N.copy())
        ),
        "back: W^T delta": lambda: _repeat_back_product(_REPEATS, weight_GF, gates_GB, grad_HB),
        "back: delta z^T": lambda: _repeat_terms(
            _REPEATS, gates_GB, z_FB, term_GH, np.zeros_like(rest_GR)
        ),
        "back: adding it up, its norm": lambda: _repeat_adding(
            _REPEATS, term_GH, np.zeros_like(term_GH)
        ),
        "norms of gradients, flat gates": lambda: _repeat_measures(
            _REPEATS, gates_GB, grad_N, _HIDDEN
        ),
    }


def _best(part: Callable[[], object]) -> float:
    """Milliseconds that the part takes in a whole training step: the least of many rounds."""
    part()
    return min(_seconds(part) for _ in range(_ROUNDS)) / _REPEATS * _TIME_STEPS * 1e3


def _seconds(action: Callable[[], object]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


if __name__ == "__main__":
    sys.exit(main())
