"""The gated recurrent unit as a kernel for the CPU, equal to the reference within float32.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units, F = H + 1 + I rows of what a step reads: the state before it, a 1 for the
biases, its input (see `worker.cells.stacked`).

The new state's input and its hidden side do not add up before the reset gate, so W has three parts:
of r and z (2H, F), of m = W_hn h + b_hn (H, H+1), and of W_in x + b_in (H, 1+I). Each reads
neighbouring rows. Jobs come one after the other: each job's numbers are its own arithmetic.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worker.cells.accumulate import (
    Doubles,
    add_outside,
    add_term,
    count_flat_gates,
    empty_grad_x,
    sum_of_squares,
)
from worker.cells.cell import LayerBackward, LayerPass, State
from worker.cells.compiled import compiled
from worker.cells.elementwise import sigmoid, tanh
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
    states_of,
    zeros_like_parts,
)
from worker.training.parameters import LayerParameters

_ONE = np.float32(1)

#: The three parts of W.
Weights = tuple[Floats, Floats, Floats]
#: Their gradients: of r and z by h (2H, H) and by 1 and x (2H, 1+I), of m by h (H, H) and by 1
#: (H, 1), and of W_in x + b_in (H, 1+I). Those by h lie apart, as each step's term is looked at.
Gradients = tuple[Floats, Floats, Floats, Floats, Floats]


class GruCpu:
    """A GRU layer in float32."""

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        size = parameters["weight_hh"].shape[2]
        x_KTIB, weights = sequences_last(x_KTBI), stack_gru_weights(parameters)
        kept = _forward(x_KTIB, part_of_state(initial, 0, x_KTIB, size), weights)
        h_KTBH = states_of(kept[0], size)
        return _GruCpuPass(h_KTBH, (h_KTBH[:, -1],), weights, kept)


def stack_gru_weights(parameters: LayerParameters) -> Weights:
    """The three parts of W."""
    size = parameters["weight_hh"].shape[2]
    input_KGI, hidden_KGH = parameters["weight_ih"], parameters["weight_hh"]
    input_KG1, hidden_KG1 = parameters["bias_ih"][..., None], parameters["bias_hh"][..., None]
    both_KG1 = input_KG1 + hidden_KG1
    gates, new = slice(2 * size), slice(2 * size, 3 * size)
    parts = [hidden_KGH[:, gates], both_KG1[:, gates], input_KGI[:, gates]]
    return (
        torch.cat(parts, dim=2).numpy(),
        torch.cat([hidden_KGH[:, new], hidden_KG1[:, new]], dim=2).numpy(),
        torch.cat([input_KG1[:, new], input_KGI[:, new]], dim=2).numpy(),
    )


def unstack_gru_gradients(grads: Gradients, gradients: LayerParameters) -> None:
    """Fill a layer's gradients from those of the parts of W."""
    hidden_KNH, rest_KNR, m_hidden_KHH, m_bias_KH1, input_KHR = grads
    weight_ih, weight_hh = gradients["weight_ih"].numpy(), gradients["weight_hh"].numpy()
    bias_ih, bias_hh = gradients["bias_ih"].numpy(), gradients["bias_hh"].numpy()
    gates = 2 * weight_hh.shape[2]
    weight_hh[:, :gates], weight_hh[:, gates:] = hidden_KNH, m_hidden_KHH
    weight_ih[:, :gates], weight_ih[:, gates:] = rest_KNR[:, :, 1:], input_KHR[:, :, 1:]
    bias_ih[:, :gates] = bias_hh[:, :gates] = rest_KNR[:, :, 0]
    bias_ih[:, gates:], bias_hh[:, gates:] = input_KHR[:, :, 0], m_bias_KH1[:, :, 0]


@compiled
def zeros_like_gru_parts(weights: Weights, size: int) -> Gradients:
    """Room for the gradients of the parts of W."""
    hidden_KNH, rest_KNR = zeros_like_parts(weights[0], size)
    m_hidden_KHH, m_bias_KH1 = zeros_like_parts(weights[1], size)
    return hidden_KNH, rest_KNR, m_hidden_KHH, m_bias_KH1, np.zeros_like(weights[2])


@dataclass(frozen=True)
class _GruCpuPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    weights: Weights
    kept: tuple[Floats, Floats, Floats]  # z, gates, m

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,  # noqa: ARG002 - costs next to nothing here
    ) -> LayerBackward:
        grad_KHB = part_of_state(grad_final, 0, self.kept[0], self.h_KTBH.shape[3])
        grads, grad_x_KTIB, norms_2KT, flat_K = _backward(
            self.kept, self.weights, sequences_last(grad_h_KSBH), grad_KHB, needs_grad_x
        )
        unstack_gru_gradients(grads, gradients)
        return LayerBackward(
            grad_x_KTBI=torch.from_numpy(grad_x_KTIB).transpose(2, 3) if needs_grad_x else None,
            grad_initial=(torch.from_numpy(grad_KHB).transpose(1, 2),),
            flow=LayerFlow(
                grad_norm_KT=torch.from_numpy(norms_2KT[0]),
                weight_term_norm_KT=torch.from_numpy(norms_2KT[1]),
                saturation_K=torch.from_numpy(flat_K),
                silent_KH=None,
            ),
        )


@compiled
def _forward(x_KTIB: Floats, first_KHB: Floats, weights: Weights) -> tuple[Floats, Floats, Floats]:
    """Returns z, the gates r, z, n, and m."""
    z_KTFB = stack_inputs(x_KTIB, first_KHB)
    jobs, time_steps, _, sequences = x_KTIB.shape
    size = first_KHB.shape[1]
    gates_KTGB = np.empty((jobs, time_steps, 3 * size, sequences), np.float32)
    m_KTHB = np.empty((jobs, time_steps, size, sequences), np.float32)
    for job in range(jobs):
        weights_of_job = (weights[0][job], weights[1][job], weights[2][job])
        for step in range(time_steps):
            h_HB = z_KTFB[job, step + 1, :size]
            step_gru(
                weights_of_job, z_KTFB[job, step], gates_KTGB[job, step], m_KTHB[job, step], h_HB
            )
    return z_KTFB, gates_KTGB, m_KTHB


@compiled
def step_gru(weights: Weights, z_FB: Floats, gates_GB: Floats, m_HB: Floats, h_HB: Floats) -> None:
    """The gates, m and the new h from W z; the h before is the first part of z."""
    size = m_HB.shape[0]
    multiply(weights[0], z_FB, gates_GB[: 2 * size], False)
    multiply(weights[1], z_FB[: size + 1], m_HB, False)
    multiply(weights[2], z_FB[size:], gates_GB[2 * size :], False)
    h_before = z_FB[:size].reshape(-1)
    _update_state(gates_GB.reshape(-1), m_HB.reshape(-1), h_before, h_HB.reshape(-1))


@compiled
def _update_state(gates_N: Floats, m_N: Floats, h_before: Floats, h_after: Floats) -> None:
    """r, z = sigmoid, n = tanh(n + r m),  h_t = n + z (h_{t-1} - n)."""
    count = m_N.size
    for at in range(2 * count):
        gates_N[at] = sigmoid(gates_N[at])
    r, z, n = gates_N[:count], gates_N[count : 2 * count], gates_N[2 * count :]
    for at in range(count):
        n[at] = tanh(n[at] + r[at] * m_N[at])
    for at in range(count):
        h_after[at] = n[at] + z[at] * (h_before[at] - n[at])


@compiled
def _backward(
    kept: tuple[Floats, Floats, Floats],
    weights: Weights,
    outside_KSHB: Floats,
    grad_KHB: Floats,
    needs_grad_x: bool,
) -> tuple[Gradients, Floats, Doubles, Doubles]:
    """Go back over time; `grad_KHB` comes in by the last state and goes out by the first.

    Returns:
        Gradients by the parts of W and by x, norms of the states' gradients and of W_hh's terms,
        share of the gates at a flat end.
    """
    z_KTFB, gates_KTGB, m_KTHB = kept
    (jobs, rows, reads, sequences), size = z_KTFB.shape, m_KTHB.shape[2]
    grad_x_KTIB = empty_grad_x(jobs, rows - 1, reads - size - 1 if needs_grad_x else 0, sequences)
    grads = zeros_like_gru_parts(weights, size)
    norms_2KT, flat_K = np.empty((2, jobs, rows - 1)), np.zeros(jobs)
    terms = (np.empty_like(grads[0][0]), np.empty_like(grads[2][0]))
    for job in range(jobs):
        weights_of_job = (weights[0][job], weights[1][job], weights[2][job])
        grads_of_job = (
            grads[0][job],
            grads[1][job],
            grads[2][job],
            grads[3][job],
            grads[4][job],
        )
        grad_HB = grad_KHB[job]
        for step in range(rows - 2, -1, -1):
            gates_GB = gates_KTGB[job, step]
            add_outside(grad_HB.reshape(-1), outside_KSHB[job], rows - 2 - step)
            norms_2KT[0, job, step] = np.sqrt(sum_of_squares(grad_HB.reshape(-1)))
            flat_K[job] += count_flat_gates(gates_GB[: 2 * size].reshape(-1))
            norms_2KT[1, job, step] = step_back_gru(
                weights_of_job,
                (z_KTFB[job, step], gates_GB, m_KTHB[job, step]),
                grad_HB,
                grads_of_job,
                terms,
                grad_x_KTIB[job, step],
            )
        flat_K[job] /= 2 * size * sequences * (rows - 1)
    return grads, grad_x_KTIB, norms_2KT, flat_K


@compiled
def step_back_gru(
    weights: Weights,
    kept: tuple[Floats, Floats, Floats],
    grad_HB: Floats,
    grads: Gradients,
    terms: tuple[Floats, Floats],
    grad_x_IB: Floats,
) -> float:
    """Go back over a step; `grad_HB` by the new h is overwritten by that of the h before.

    Args:
        weights: the parts of W.
        kept: z, the gates and m (both overwritten by their deltas).
        grad_HB: by h.
        grads: by the parts of W; the step's terms are added to them.
        terms: scratch.
        grad_x_IB: overwritten; without rows if it is not needed.

    Returns:
        The norm of the term of dL/dW_hh.
    """
    z_FB, gates_GB, m_HB = kept
    size = m_HB.shape[0]
    before, gates_N = z_FB[:size].reshape(-1), gates_GB.reshape(-1)
    _to_deltas(gates_N, m_HB.reshape(-1), before, grad_HB.reshape(-1))
    gates_NB, new_HB = gates_GB[: 2 * size], gates_GB[2 * size :]
    multiply_right_transposed(gates_NB, z_FB[:size], terms[0], False)
    multiply_right_transposed(gates_NB, z_FB[size:], grads[1], True)
    multiply_right_transposed(m_HB, z_FB[:size], terms[1], False)
    multiply_right_transposed(m_HB, z_FB[size : size + 1], grads[3], True)
    multiply_right_transposed(new_HB, z_FB[size:], grads[4], True)
    squares = add_term(terms[0], grads[0]) + add_term(terms[1], grads[2])
    if grad_x_IB.shape[0]:
        multiply_left_transposed(weights[0][:, size + 1 :], gates_NB, grad_x_IB, False)
        multiply_left_transposed(weights[2][:, 1:], new_HB, grad_x_IB, True)
    multiply_left_transposed(weights[0][:, :size], gates_NB, grad_HB, True)
    multiply_left_transposed(weights[1][:, :size], m_HB, grad_HB, True)
    return float(np.sqrt(squares))


@compiled
def _to_deltas(gates_N: Floats, m_N: Floats, h_before: Floats, grad_N: Floats) -> None:
    """Replace gates and m by the gradients of what they are made from, and `grad` by its rest.

    z: dh (h_{t-1} - n) z (1-z);  n: dh (1-z) (1-n^2);  m: dn r;  r: dn m r (1-r);  dh_{t-1} = dh z
    so far, without the paths through the products.
    """
    count = m_N.size
    r, z, n = gates_N[:count], gates_N[count : 2 * count], gates_N[2 * count :]
    for at in range(count):
        keep, new, grad = z[at], n[at], grad_N[at]
        grad_N[at] = grad * keep
        z[at] = grad * (h_before[at] - new) * keep * (_ONE - keep)
        n[at] = grad * (_ONE - keep) * (_ONE - new * new)
    for at in range(count):
        reset, delta = r[at], n[at]
        r[at] = delta * m_N[at] * reset * (_ONE - reset)
        m_N[at] = delta * reset
