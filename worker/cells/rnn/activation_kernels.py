"""The RNN's nonlinearities on one time step's numbers, and what they show of its units.

Shapes: K jobs of a pack, T time steps, B sequences, H hidden units, F rows of what a step reads,
N = H*B. Sequences come last.
"""

from typing import NamedTuple

import numpy as np

from worker.cells.accumulate import Flags
from worker.cells.compiled import compiled, inlined
from worker.cells.elementwise import tanh
from worker.cells.matmul import Floats
from worker.remedies.activations import TANH_FLAT

_FLAT = np.float32(TANH_FLAT)
_ONE, _ZERO = np.float32(1), np.float32(0)


class Forms(NamedTuple):
    """The nonlinearities of a pack's jobs; neither tanh nor modReLU is two lines that meet at 0."""

    is_tanh: bool
    can_die: bool
    slope_K: Floats
    """Where the input is negative; unused for tanh and modReLU."""
    bias_KH: Floats
    """Of modReLU; (K, 0) for the others."""


@inlined
def activate(h_HB: Floats, forms: Forms, job: int) -> None:
    """Replace every number by its nonlinearity."""
    h_N = h_HB.reshape(-1)
    if forms.is_tanh:
        for at in range(h_N.size):
            h_N[at] = tanh(h_N[at])
    elif forms.bias_KH.size:
        for unit in range(h_HB.shape[0]):
            h_B, bias = h_HB[unit], forms.bias_KH[job, unit]
            for at in range(h_B.size):
                h_B[at] = _mod_relu(h_B[at], bias)
    else:
        slope = forms.slope_K[job]
        for at in range(h_N.size):
            h_N[at] = h_N[at] if h_N[at] > 0 else slope * h_N[at]


@inlined
def _mod_relu(a: np.float32, bias: np.float32) -> np.float32:
    """sign(a)*max(|a| + b, 0); nan where either is."""
    size = abs(a) + bias
    sign = _ONE if a > 0 else (-_ONE if a < 0 else a)
    return sign * (_ZERO if size < 0 else size)


@inlined
def activate_back(
    delta_HB: Floats, grad_HB: Floats, h_HB: Floats, forms: Forms, job: int, grad_bias_KH: Floats
) -> None:
    """Fill in delta = grad * phi'(a) where phi(a) = h; add to the gradient by modReLU's bias."""
    grad_N, delta_N, h_N = grad_HB.reshape(-1), delta_HB.reshape(-1), h_HB.reshape(-1)
    if forms.is_tanh:
        for at in range(grad_N.size):
            delta_N[at] = grad_N[at] * (_ONE - h_N[at] * h_N[at])
    elif forms.bias_KH.size:
        for unit in range(h_HB.shape[0]):
            grad_bias_KH[job, unit] += _mod_relu_back(delta_HB[unit], grad_HB[unit], h_HB[unit])
    else:
        slope = forms.slope_K[job]
        for at in range(grad_N.size):
            delta_N[at] = grad_N[at] if h_N[at] > 0 else slope * grad_N[at]


@compiled
def _mod_relu_back(delta_B: Floats, grad_B: Floats, h_B: Floats) -> np.float32:
    """Fill in delta = grad where h is not 0, of one unit; returns the gradient by its bias."""
    total = _ZERO
    for at in range(h_B.size):
        is_active = _ZERO if h_B[at] == 0 else _ONE
        delta_B[at] = grad_B[at] * is_active
        total += -delta_B[at] if h_B[at] < 0 else delta_B[at]
    return total


@compiled
def count_flat(z_TFB: Floats, size: int) -> int:
    """Activations at the flat ends of tanh, of the first `size` rows."""
    flat = 0
    for step in range(z_TFB.shape[0]):
        h_N = z_TFB[step, :size].reshape(-1)
        for at in range(h_N.size):
            flat += abs(h_N[at]) > _FLAT
    return flat


@compiled
def find_silent(z_TFB: Floats, silent_H: Flags) -> None:
    """Whether a unit is 0 at every step and in every sequence."""
    for unit in range(silent_H.size):
        silent_H[unit] = True
        for step in range(z_TFB.shape[0]):
            if np.any(z_TFB[step, unit] != 0):
                silent_H[unit] = False
                break
