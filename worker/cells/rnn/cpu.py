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
from worker.cells.flow import LayerFlow
from worker.cells.matmul import (
    Floats,
    multiply,
    multiply_left_transposed,
    multiply_right_transposed,
)
from worker.cells.rnn.activation_kernels import (
    Forms,
    activate,
    activate_back,
    count_flat,
    find_silent,
)
from worker.cells.stacked import (
    part_of_state,
    sequences_last,
    stack_inputs,
    stack_weights,
    states_of,
    unstack_gradients,
    zeros_like_parts,
)
from worker.remedies.activations import Nonlinearity
from worker.training.parameters import LayerParameters


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
        forms = forms_of(self.nonlinearity, parameters)
        z_KTFB = _forward(x_KTIB, first_KHB, weight_KHF, forms)
        h_KTBH = states_of(z_KTFB, size)
        return _RnnCpuPass(h_KTBH, (h_KTBH[:, -1],), z_KTFB, weight_KHF, forms)


@dataclass(frozen=True)
class _RnnCpuPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    z_KTFB: Floats
    weight_KHF: Floats
    forms: Forms

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,  # noqa: ARG002 - costs next to nothing here
    ) -> LayerBackward:
        grad_KHB = part_of_state(grad_final, 0, self.z_KTFB, self.h_KTBH.shape[3])
        grad_bias_KH = np.zeros_like(self.forms.bias_KH)
        grad_weights, grad_x_KTIB, norms_2KT, flat_K, silent_KH = _backward(
            self.z_KTFB,
            self.weight_KHF,
            self.forms,
            sequences_last(grad_h_KSBH),
            grad_KHB,
            grad_bias_KH,
            needs_grad_x,
        )
        unstack_gradients(grad_weights, gradients)
        if grad_bias_KH.size:
            np.copyto(gradients["activation_bias"].numpy(), grad_bias_KH)
        return LayerBackward(
            grad_x_KTBI=torch.from_numpy(grad_x_KTIB).transpose(2, 3) if needs_grad_x else None,
            grad_initial=(torch.from_numpy(grad_KHB).transpose(1, 2),),
            flow=LayerFlow(
                grad_norm_KT=torch.from_numpy(norms_2KT[0]),
                weight_term_norm_KT=torch.from_numpy(norms_2KT[1]),
                saturation_K=torch.from_numpy(flat_K),
                silent_KH=torch.from_numpy(silent_KH) if self.forms.can_die else None,
            ),
        )


def forms_of(nonlinearity: Nonlinearity, parameters: LayerParameters) -> Forms:
    """What the kernel needs to know of the nonlinearity."""
    slope_K = nonlinearity.slopes
    bias_KH = np.empty((len(slope_K), 0), np.float32)
    if nonlinearity.has_bias:
        bias_KH = parameters["activation_bias"].contiguous().numpy()
    return Forms(nonlinearity.is_tanh, nonlinearity.can_die, slope_K, bias_KH)


@compiled
def _forward(x_KTIB: Floats, first_KHB: Floats, weight_KHF: Floats, forms: Forms) -> Floats:
    z_KTFB = stack_inputs(x_KTIB, first_KHB)
    size = weight_KHF.shape[1]
    for job in range(z_KTFB.shape[0]):
        z_TFB = z_KTFB[job]
        for step in range(z_TFB.shape[0] - 1):
            step_rnn(weight_KHF[job], z_TFB[step], z_TFB[step + 1, :size], forms, job)
    return z_KTFB


@compiled
def step_rnn(weight_HF: Floats, z_FB: Floats, h_HB: Floats, forms: Forms, job: int) -> None:
    """The new state, phi(W z)."""
    multiply(weight_HF, z_FB, h_HB, False)
    activate(h_HB, forms, job)


@compiled
def _backward(
    z_KTFB: Floats,
    weight_KHF: Floats,
    forms: Forms,
    outside_KSHB: Floats,
    grad_KHB: Floats,
    grad_bias_KH: Floats,
    needs_grad_x: bool,
) -> tuple[tuple[Floats, Floats], Floats, Doubles, Doubles, Flags]:
    """Go back over time; `grad_KHB` comes in by the last state and goes out by the first.

    The gradient by modReLU's bias is added to `grad_bias_KH`.

    Returns:
        Gradients by W and x, norms of the states' gradients and of W_hh's terms, share of the
        activations at a flat end, and which units were always 0.
    """
    (jobs, rows, reads, sequences), size = z_KTFB.shape, weight_KHF.shape[1]
    grad_x_KTIB = empty_grad_x(jobs, rows - 1, reads - size - 1 if needs_grad_x else 0, sequences)
    hidden_KHH, rest_KHR = zeros_like_parts(weight_KHF, size)
    norms_2KT = np.empty((2, jobs, rows - 1))
    flat_K, silent_KH = np.zeros(jobs), np.zeros((jobs, size), np.bool_)
    delta_HB, term_HH = np.empty_like(grad_KHB[0]), np.empty_like(hidden_KHH[0])
    for job in range(jobs):
        z_TFB, grad_HB = z_KTFB[job], grad_KHB[job]
        for step in range(rows - 2, -1, -1):
            h_HB = z_TFB[step + 1, :size]
            add_outside(grad_HB.reshape(-1), outside_KSHB[job], rows - 2 - step)
            norms_2KT[0, job, step] = np.sqrt(sum_of_squares(grad_HB.reshape(-1)))
            activate_back(delta_HB, grad_HB, h_HB, forms, job, grad_bias_KH)
            norms_2KT[1, job, step] = step_back_rnn(
                weight_KHF[job],
                z_TFB[step],
                delta_HB,
                grad_HB,
                (hidden_KHH[job], rest_KHR[job]),
                term_HH,
                grad_x_KTIB[job, step],
            )
        if forms.is_tanh:
            flat_K[job] = count_flat(z_TFB[1:], size) / (size * sequences * (rows - 1))
        if forms.can_die:
            find_silent(z_TFB[1:], silent_KH[job])
    return (hidden_KHH, rest_KHR), grad_x_KTIB, norms_2KT, flat_K, silent_KH


@compiled
def step_back_rnn(
    weight_HF: Floats,
    z_FB: Floats,
    delta_HB: Floats,
    grad_HB: Floats,
    grad_weights: tuple[Floats, Floats],
    term_HH: Floats,
    grad_x_IB: Floats,
) -> float:
    """Go back through W: `grad_HB` is overwritten by the gradient by the state before.

    Returns:
        The norm of the term of dL/dW_hh.
    """
    size = grad_HB.shape[0]
    multiply_right_transposed(delta_HB, z_FB[:size], term_HH, False)
    squares = add_term(term_HH, grad_weights[0])
    multiply_right_transposed(delta_HB, z_FB[size:], grad_weights[1], True)
    if grad_x_IB.shape[0]:
        multiply_left_transposed(weight_HF[:, size + 1 :], delta_HB, grad_x_IB, False)
    multiply_left_transposed(weight_HF[:, :size], delta_HB, grad_HB, False)
    return float(np.sqrt(squares))
