"""What the kernels for the CPU add up on the way back through time.

Shapes: S time steps with a gradient from outside, T time steps, B sequences, H hidden units,
G gates times H, F rows of what a step reads; N numbers in a row.
"""

import numpy as np
from numpy.typing import NDArray

from worker.cells.compiled import compiled
from worker.cells.matmul import Floats
from worker.cells.products import GATE_FLAT

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

_FLAT_FROM = np.float32(0.5 - GATE_FLAT)


@compiled
def add_outside(grad_N: Floats, outside_SHB: Floats, steps_to_end: int) -> None:
    """Add the gradient from outside the layer, if the state so many steps before the last has one.

    Args:
        grad_N: by this step's state, flat.
        outside_SHB: by the last S states.
        steps_to_end: 0 for the last step.
    """
    answered = outside_SHB.shape[0]
    if steps_to_end < answered:
        outside_N = outside_SHB[answered - 1 - steps_to_end].reshape(-1)
        for at in range(grad_N.size):
            grad_N[at] += outside_N[at]


@compiled
def sum_of_squares(values_N: Floats) -> float:
    """In float64: the squares of small float32 numbers would be lost."""
    total = 0.0
    for at in range(values_N.size):
        value = np.float64(values_N[at])
        total += value * value
    return total


@compiled
def add_term(term_GH: Floats, total_GH: Floats) -> float:
    """Add a time step's term to the gradient of W_hh; returns its sum of squares."""
    term_N, total_N = term_GH.reshape(-1), total_GH.reshape(-1)
    squares = 0.0
    for at in range(term_N.size):
        value = term_N[at]
        total_N[at] += value
        squares += np.float64(value) * np.float64(value)
    return squares


@compiled
def count_flat_gates(gates_N: Floats) -> int:
    """How many sigmoid gates are at their flat ends: min(g, 1-g) < 0.05."""
    flat = 0
    for at in range(gates_N.size):
        flat += abs(gates_N[at] - np.float32(0.5)) > _FLAT_FROM
    return flat


@compiled
def empty_grad_x(jobs: int, time_steps: int, inputs: int, sequences: int) -> Floats:
    """Room for the gradient by the inputs; with `inputs` 0 if it is not needed."""
    return np.empty((jobs, time_steps, inputs, sequences), np.float32)
