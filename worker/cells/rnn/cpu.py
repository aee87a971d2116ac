"""The Elman network as a kernel for the CPU, equal to the reference within float32.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units, F = H + 1 + I rows of what a step reads (see `worker.cells.stacked`).

Jobs come one after the other: each job's numbers are its own arithmetic, in whatever company. Going
back, the gradient by W is added up step by step, so that no step's delta has to be kept.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worker.cells.accumulate import (
    Doubles,
    Flags,
    add_outside,
    add_term,
    empty_grad_x,
    sum_of_squares,
)
from worker.cells.cell import LayerBackward, LayerPass, State
from worker.cells.compiled import compiled
from worker.cells.elementwise import Float, tanh
from worker.cells.flow import LayerFlow
from worker.cells.matmul import (
    Floats,
    multiply,
    multiply_left_transposed,
    multiply_right_transposed,
)
from worker.cells.stacked import (
    part_of_state,
    sequences_last,
    stack_inputs,
    stack_weights,
    states_of,
    unstack_gradients,
)
from worker.remedies.activations import TANH_FLAT, Nonlinearity
from worker.training.parameters import LayerParameters

_FLAT = np.float32(TANH_FLAT)
_ONE = np.float32(1)


@dataclass(frozen=True)
class RnnCpu:
    """An RNN layer in float32."""

    nonlinearity: Nonlinearity

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        size = parameters["weight_hh"].shape[2]
        x_KTIB, weight_KHF = sequences_last(x_KTBI), stack_weights(parameters)
        first_KHB = part_of_state(initial, 0, x_KTIB, size)
        is_tanh, slope_K = self.nonlinearity.is_tanh, self.nonlinearity.slopes
        z_KTFB = _forward(x_KTIB, first_KHB, weight_KHF, is_tanh, slope_K)
        h_KTBH = states_of(z_KTFB, size)
        return _RnnCpuPass(h_KTBH, (h_KTBH[:, -1],), z_KTFB, weight_KHF, self.nonlinearity)


@dataclass(frozen=True)
class _RnnCpuPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    z_KTFB: Floats
    weight_KHF: Floats
    nonlinearity: Nonlinearity

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,  # noqa: ARG002 - costs next to nothing here
    ) -> LayerBackward:
        nonlinearity = self.nonlinearity
        grad_KHB = part_of_state(grad_final, 0, self.z_KTFB, self.h_KTBH.shape[3])
        grad_weight_KHF, grad_x_KTIB, norms_2KT, flat_K, silent_KH = _backward(
            self.z_KTFB,
            self.weight_KHF,
            (nonlinearity.is_tanh, nonlinearity.can_die, nonlinearity.slopes),
            sequences_last(grad_h_KSBH),
            grad_KHB,
            needs_grad_x,
        )
        unstack_gradients(grad_weight_KHF, gradients)
        return LayerBackward(
            grad_x_KTBI=torch.from_numpy(grad_x_KTIB).transpose(2, 3) if needs_grad_x else None,
            grad_initial=(torch.from_numpy(grad_KHB).transpose(1, 2),),
            flow=LayerFlow(
                grad_norm_KT=torch.from_numpy(norms_2KT[0]),
                weight_term_norm_KT=torch.from_numpy(norms_2KT[1]),
                saturation_K=torch.from_numpy(flat_K),
                silent_KH=torch.from_numpy(silent_KH) if nonlinearity.can_die else None,
            ),
        )


@compiled
def _forward(
    x_KTIB: Floats, first_KHB: Floats, weight_KHF: Floats, is_tanh: bool, slope_K: Floats
) -> Floats:
    z_KTFB = stack_inputs(x_KTIB, first_KHB)
    size = weight_KHF.shape[1]
    for job in range(z_KTFB.shape[0]):
        z_TFB = z_KTFB[job]
        for step in range(z_TFB.shape[0] - 1):
            h_HB = z_TFB[step + 1, :size]
            step_rnn(weight_KHF[job], z_TFB[step], h_HB, is_tanh, slope_K[job])
    return z_KTFB


@compiled
def step_rnn(weight_HF: Floats, z_FB: Floats, h_HB: Floats, is_tanh: bool, slope: Float) -> None:
    """The new state, phi(W z)."""
    multiply(weight_HF, z_FB, h_HB, False)
    h_N = h_HB.reshape(-1)
    if is_tanh:
        for at in range(h_N.size):
            h_N[at] = tanh(h_N[at])
    else:
        for at in range(h_N.size):
            h_N[at] = h_N[at] if h_N[at] > 0 else slope * h_N[at]


@compiled
def _backward(
    z_KTFB: Floats,
    weight_KHF: Floats,
    nonlinearity: tuple[bool, bool, Floats],
    outside_KSHB: Floats,
    grad_KHB: Floats,
    needs_grad_x: bool,
) -> tuple[Floats, Floats, Doubles, Doubles, Flags]:
    """Go back over time; `grad_KHB` comes in by the last state and goes out by the first.

    Returns:
        Gradients by W and x, norms of the states' gradients and of W_hh's terms, share of the
        activations at a flat end, and which units were always 0.
    """
    is_tanh, can_die, slope_K = nonlinearity
    (jobs, rows, reads, sequences), size = z_KTFB.shape, weight_KHF.shape[1]
    grad_x_KTIB = empty_grad_x(jobs, rows - 1, reads - size - 1 if needs_grad_x else 0, sequences)
    grad_weight_KHF = np.zeros_like(weight_KHF)
    norms_2KT = np.empty((2, jobs, rows - 1))
    flat_K, silent_KH = np.zeros(jobs), np.zeros((jobs, size), np.bool_)
    delta_HB, term_HF = np.empty_like(grad_KHB[0]), np.empty_like(weight_KHF[0])
    for job in range(jobs):
        z_TFB, grad_HB = z_KTFB[job], grad_KHB[job]
        for step in range(rows - 2, -1, -1):
            h_HB = z_TFB[step + 1, :size]
            add_outside(grad_HB.reshape(-1), outside_KSHB[job], rows - 2 - step)
            norms_2KT[0, job, step] = np.sqrt(sum_of_squares(grad_HB.reshape(-1)))
            to_delta(h_HB, grad_HB, delta_HB, is_tanh, slope_K[job])
            norms_2KT[1, job, step] = step_back_rnn(
                weight_KHF[job],
                z_TFB[step],
                delta_HB,
                grad_HB,
                grad_weight_KHF[job],
                term_HF,
                grad_x_KTIB[job, step],
            )
        if is_tanh:
            flat_K[job] = count_flat_ends(z_TFB[1:], size) / (size * sequences * (rows - 1))
        if can_die:
            find_silent(z_TFB[1:], silent_KH[job])
    return grad_weight_KHF, grad_x_KTIB, norms_2KT, flat_K, silent_KH


@compiled
def to_delta(h_HB: Floats, grad_HB: Floats, delta_HB: Floats, is_tanh: bool, slope: Float) -> None:
    """The gradient by what phi squashes: dL/dh phi', phi' from h."""
    h_N, grad_N, delta_N = h_HB.reshape(-1), grad_HB.reshape(-1), delta_HB.reshape(-1)
    if is_tanh:
        for at in range(grad_N.size):
            delta_N[at] = grad_N[at] * (_ONE - h_N[at] * h_N[at])
    else:
        for at in range(grad_N.size):
            delta_N[at] = grad_N[at] if h_N[at] > 0 else slope * grad_N[at]


@compiled
def step_back_rnn(
    weight_HF: Floats,
    z_FB: Floats,
    delta_HB: Floats,
    grad_HB: Floats,
    grad_weight_HF: Floats,
    term_HF: Floats,
    grad_x_IB: Floats,
) -> float:
    """Go back through W: `grad_HB` is overwritten by the gradient by the state before.

    Returns:
        The norm of the term of dL/dW_hh.
    """
    size = grad_HB.shape[0]
    multiply_right_transposed(delta_HB, z_FB, term_HF, False)
    squares = add_term(term_HF, grad_weight_HF, size)
    if grad_x_IB.shape[0]:
        multiply_left_transposed(weight_HF[:, size + 1 :], delta_HB, grad_x_IB, False)
    multiply_left_transposed(weight_HF[:, :size], delta_HB, grad_HB, False)
    return float(np.sqrt(squares))


@compiled
def count_flat_ends(z_TFB: Floats, size: int) -> int:
    """Activations at the flat ends of tanh."""
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
