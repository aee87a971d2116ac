"""The gate of a Skip RNN as kernels for the CPU; the equations are in `update_gate.py`.

Shapes: B sequences, H hidden units. A state's sequences come last.
"""

import numpy as np

from worker.cells.compiled import compiled
from worker.cells.elementwise import sigmoid
from worker.cells.matmul import Floats

_HALF = np.float32(0.5)
_ONE = np.float32(1)
_ZERO = np.float32(0)


@compiled
def choose(chance_B: Floats, new_HB: Floats, old_HB: Floats, chosen_HB: Floats) -> None:
    """The new state of the sequences that are updated, the old one of the others."""
    for unit in range(new_HB.shape[0]):
        for at in range(chance_B.size):
            chosen_HB[unit, at] = new_HB[unit, at] if chance_B[at] > _HALF else old_HB[unit, at]


@compiled
def advance(
    state_HB: Floats, gate: tuple[Floats, Floats], chance_B: Floats, rate_B: Floats, next_B: Floats
) -> None:
    """Fill in d_t and p_{t+1} from s_t and p_t; `gate` is w, (H,), and b, (1,)."""
    rate_B[:] = gate[1][0]
    for unit in range(state_HB.shape[0]):
        for at in range(rate_B.size):
            rate_B[at] += gate[0][unit] * state_HB[unit, at]
    for at in range(rate_B.size):
        rate, chance = sigmoid(rate_B[at]), chance_B[at]
        rate_B[at] = rate
        grown = chance + min(rate, _ONE - chance)
        next_B[at] = rate if chance > _HALF else grown


@compiled
def gate_back(
    chance_B: Floats, rate_B: Floats, grad_chance_B: Floats, slope_B: Floats, grad_update_B: Floats
) -> None:
    """Go back over a step of the gate.

    Args:
        chance_B: p_t.
        rate_B: d_t.
        grad_chance_B: by p_{t+1}; becomes the one by p_t, but for what comes through u_t.
        slope_B: overwritten by the gradient by w s_t + b.
        grad_update_B: overwritten by the gradient by u_t, as far as it comes through p_{t+1}.
    """
    for at in range(chance_B.size):
        chance, rate, grad = chance_B[at], rate_B[at], grad_chance_B[at]
        updates, grows = chance > _HALF, rate <= _ONE - chance
        slope_B[at] = grad * rate * (_ONE - rate) if updates or grows else _ZERO
        grad_update_B[at] = grad * (rate - chance - min(rate, _ONE - chance))
        grad_chance_B[at] = grad if grows and not updates else _ZERO


@compiled
def add_slope(
    slope_B: Floats, gate: tuple[Floats, Floats], state_HB: Floats, grad_HB: Floats
) -> None:
    """Add to the gradient by s_t what comes through the gate."""
    for unit in range(state_HB.shape[0]):
        for at in range(slope_B.size):
            grad_HB[unit, at] += gate[0][unit] * slope_B[at]


@compiled
def add_gate_gradients(slope_B: Floats, state_HB: Floats, grad_gate: tuple[Floats, Floats]) -> None:
    """Add a step's terms to the gradients by w and b."""
    for unit in range(state_HB.shape[0]):
        total = _ZERO
        for at in range(slope_B.size):
            total += slope_B[at] * state_HB[unit, at]
        grad_gate[0][unit] += total
    grad_gate[1][0] += slope_B.sum()


@compiled
def add_gain(new_HB: Floats, old_HB: Floats, grad_HB: Floats, grad_update_B: Floats) -> None:
    """Add to the gradient by u_t what comes through s_t."""
    for unit in range(new_HB.shape[0]):
        for at in range(grad_update_B.size):
            grad_update_B[at] += (new_HB[unit, at] - old_HB[unit, at]) * grad_HB[unit, at]


@compiled
def split(chance_B: Floats, grad_HB: Floats, copied_HB: Floats) -> None:
    """Leave in `grad` what goes to what the step proposed, and put the rest into `copied`."""
    for unit in range(grad_HB.shape[0]):
        for at in range(chance_B.size):
            updates = chance_B[at] > _HALF
            copied_HB[unit, at] = _ZERO if updates else grad_HB[unit, at]
            grad_HB[unit, at] = grad_HB[unit, at] if updates else _ZERO
