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
from worker.cells.stacked import part_of_state, sequences_last, stack_inputs, states_of
from worker.training.parameters import LayerParameters

_ONE = np.float32(1)

#: The three parts of W, or of its gradient.
Weights = tuple[Floats, Floats, Floats]


class GruCpu:
    """A GRU layer in float32."""

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        size = parameters["weight_hh"].shape[2]
        x_KTIB, weights = sequences_last(x_KTBI), _stack_weights(parameters)
        kept = _forward(x_KTIB, part_of_state(initial, 0, x_KTIB, size), weights)
        h_KTBH = states_of(kept[0], size)
        return _GruCpuPass(h_KTBH, (h_KTBH[:, -1],), weights, kept)


def _stack_weights(parameters: LayerParameters) -> Weights:
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


def _unstack_gradients(grads: Weights, gradients: LayerParameters) -> None:
    grad_KNF, grad_KHQ, grad_KHR = grads
    weight_ih, weight_hh = gradients["weight_ih"].numpy(), gradients["weight_hh"].numpy()
    bias_ih, bias_hh = gradients["bias_ih"].numpy(), gradients["bias_hh"].numpy()
    size = weight_hh.shape[2]
    weight_hh[:, : 2 * size], weight_hh[:, 2 * size :] = grad_KNF[:, :, :size], grad_KHQ[..., :size]
    weight_ih[:, : 2 * size], weight_ih[:, 2 * size :] = (
        grad_KNF[..., size + 1 :],
        grad_KHR[..., 1:],
    )
    bias_ih[:, : 2 * size] = bias_hh[:, : 2 * size] = grad_KNF[:, :, size]
    bias_ih[:, 2 * size :], bias_hh[:, 2 * size :] = grad_KHR[:, :, 0], grad_KHQ[:, :, size]


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
        _unstack_gradients(grads, gradients)
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
        for step in range(time_steps):
            z_FB, gates_GB, m_HB = z_KTFB[job, step], gates_KTGB[job, step], m_KTHB[job, step]
            multiply(weights[0][job], z_FB, gates_GB[: 2 * size], False)
            multiply(weights[1][job], z_FB[: size + 1], m_HB, False)
            multiply(weights[2][job], z_FB[size:], gates_GB[2 * size :], False)
            h_before = z_FB[:size].reshape(-1)
            h_after = z_KTFB[job, step + 1, :size].reshape(-1)
            _update_state(gates_GB.reshape(-1), m_HB.reshape(-1), h_before, h_after)
    return z_KTFB, gates_KTGB, m_KTHB


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
) -> tuple[Weights, Floats, Doubles, Doubles]:
    """Go back over time; `grad_KHB` comes in by the last state and goes out by the first.

    Returns:
        Gradients by the parts of W and by x, norms of the states' gradients and of W_hh's terms,
        share of the gates at a flat end.
    """
    z_KTFB, gates_KTGB, m_KTHB = kept
    (jobs, rows, reads, sequences), size = z_KTFB.shape, m_KTHB.shape[2]
    grad_x_KTIB = np.empty(
        (jobs, rows - 1, reads - size - 1 if needs_grad_x else 0, sequences), np.float32
    )
    grad_KNF, grad_KHQ = np.zeros_like(weights[0]), np.zeros_like(weights[1])
    grad_KHR = np.zeros_like(weights[2])
    norms_2KT, flat_K = np.empty((2, jobs, rows - 1)), np.zeros(jobs)
    term_NF = np.empty(weights[0].shape[1:], np.float32)
    term_HQ = np.empty(weights[1].shape[1:], np.float32)
    for job in range(jobs):
        grad_HB = grad_KHB[job]
        grad_N = grad_HB.reshape(-1)
        for step in range(rows - 2, -1, -1):
            z_FB, gates_GB, m_HB = z_KTFB[job, step], gates_KTGB[job, step], m_KTHB[job, step]
            add_outside(grad_N, outside_KSHB[job], rows - 2 - step)
            norms_2KT[0, job, step] = np.sqrt(sum_of_squares(grad_N))
            flat_K[job] += count_flat_gates(gates_GB[: 2 * size].reshape(-1))
            _to_deltas(gates_GB.reshape(-1), m_HB.reshape(-1), z_FB[:size].reshape(-1), grad_N)
            gates_NB, new_HB = gates_GB[: 2 * size], gates_GB[2 * size :]
            multiply_right_transposed(gates_NB, z_FB, term_NF, False)
            multiply_right_transposed(m_HB, z_FB[: size + 1], term_HQ, False)
            multiply_right_transposed(new_HB, z_FB[size:], grad_KHR[job], True)
            squares = add_term(term_NF, grad_KNF[job], size)
            squares += add_term(term_HQ, grad_KHQ[job], size)
            norms_2KT[1, job, step] = np.sqrt(squares)
            if needs_grad_x:
                into_IB = grad_x_KTIB[job, step]
                multiply_left_transposed(weights[0][job][:, size + 1 :], gates_NB, into_IB, False)
                multiply_left_transposed(weights[2][job][:, 1:], new_HB, into_IB, True)
            multiply_left_transposed(weights[0][job][:, :size], gates_NB, grad_HB, True)
            multiply_left_transposed(weights[1][job][:, :size], m_HB, grad_HB, True)
        flat_K[job] /= 2 * size * sequences * (rows - 1)
    return (grad_KNF, grad_KHQ, grad_KHR), grad_x_KTIB, norms_2KT, flat_K


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
