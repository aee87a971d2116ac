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
from worker.cells.stacked import stack_inputs, states_of
from worker.training.parameters import LayerParameters

_ONE = np.float32(1)


class GruCpu:
    """A GRU layer in float32."""

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        size = parameters["weight_hh"].shape[2]
        z_KTFB, weights = stack_inputs(x_KTBI, initial, size), _stack_weights(parameters)
        jobs, rows, _, sequences = z_KTFB.shape
        gates_KTGB = z_KTFB.new_empty(jobs, rows - 1, 3 * size, sequences)
        m_KTHB = z_KTFB.new_empty(jobs, rows - 1, size, sequences)
        _forward(z_KTFB.numpy(), weights.arrays(), gates_KTGB.numpy(), m_KTHB.numpy())
        h_KTBH = states_of(z_KTFB, size)
        return _GruCpuPass(h_KTBH, (h_KTBH[:, -1],), z_KTFB, weights, gates_KTGB, m_KTHB)


@dataclass(frozen=True)
class _Weights:
    """The three parts of W, or of its gradient."""

    gates_KNF: Tensor  # of r and z, N = 2H
    hidden_KHQ: Tensor  # of m, Q = H + 1
    input_KHR: Tensor  # of W_in x + b_in, R = 1 + I

    def arrays(self) -> tuple[Floats, Floats, Floats]:
        return self.gates_KNF.numpy(), self.hidden_KHQ.numpy(), self.input_KHR.numpy()


def _stack_weights(parameters: LayerParameters) -> _Weights:
    size = parameters["weight_hh"].shape[2]
    input_KGI, hidden_KGH = parameters["weight_ih"], parameters["weight_hh"]
    input_KG1, hidden_KG1 = parameters["bias_ih"][..., None], parameters["bias_hh"][..., None]
    both_KG1 = input_KG1 + hidden_KG1
    gates, new = slice(2 * size), slice(2 * size, 3 * size)
    parts = [hidden_KGH[:, gates], both_KG1[:, gates], input_KGI[:, gates]]
    return _Weights(
        torch.cat(parts, dim=2),
        torch.cat([hidden_KGH[:, new], hidden_KG1[:, new]], dim=2),
        torch.cat([input_KG1[:, new], input_KGI[:, new]], dim=2),
    )


def _unstack_gradients(grads: _Weights, gradients: LayerParameters) -> None:
    size = gradients["weight_hh"].shape[2]
    gates, new = slice(2 * size), slice(2 * size, 3 * size)
    gradients["weight_hh"][:, gates] = grads.gates_KNF[:, :, :size]
    gradients["weight_hh"][:, new] = grads.hidden_KHQ[:, :, :size]
    gradients["bias_ih"][:, gates] = gradients["bias_hh"][:, gates] = grads.gates_KNF[:, :, size]
    gradients["bias_hh"][:, new] = grads.hidden_KHQ[:, :, size]
    gradients["bias_ih"][:, new] = grads.input_KHR[:, :, 0]
    gradients["weight_ih"][:, gates] = grads.gates_KNF[:, :, size + 1 :]
    gradients["weight_ih"][:, new] = grads.input_KHR[:, :, 1:]


@dataclass(frozen=True)
class _GruCpuPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    z_KTFB: Tensor
    weights: _Weights
    gates_KTGB: Tensor
    m_KTHB: Tensor

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,  # noqa: ARG002 - costs next to nothing here
    ) -> LayerBackward:
        jobs, time_steps, sequences, size = self.h_KTBH.shape
        grad_KHB = self.z_KTFB.new_zeros(jobs, size, sequences)
        if grad_final:
            grad_KHB.copy_(grad_final[0].transpose(1, 2))
        inputs = self.z_KTFB.shape[2] - size - 1 if needs_grad_x else 0
        grad_x_KTIB = self.z_KTFB.new_empty(jobs, time_steps, inputs, sequences)
        weights = (self.weights.gates_KNF, self.weights.hidden_KHQ, self.weights.input_KHR)
        grads = _Weights(*(torch.zeros_like(weight) for weight in weights))
        norms_2KT, flat_K = np.empty((2, jobs, time_steps)), np.zeros(jobs)
        _backward(
            (self.z_KTFB.numpy(), self.gates_KTGB.numpy(), self.m_KTHB.numpy()),
            self.weights.arrays(),
            grad_h_KSBH.transpose(2, 3).contiguous().numpy(),
            grad_KHB.numpy(),
            grad_x_KTIB.numpy(),
            grads.arrays(),
            norms_2KT,
            flat_K,
        )
        _unstack_gradients(grads, gradients)
        return LayerBackward(
            grad_x_KTBI=grad_x_KTIB.transpose(2, 3) if needs_grad_x else None,
            grad_initial=(grad_KHB.transpose(1, 2),),
            flow=LayerFlow(
                grad_norm_KT=torch.from_numpy(norms_2KT[0]),
                weight_term_norm_KT=torch.from_numpy(norms_2KT[1]),
                saturation_K=torch.from_numpy(flat_K) / (2 * time_steps * sequences * size),
                silent_KH=None,
            ),
        )


@compiled
def _forward(
    z_KTFB: Floats, weights: tuple[Floats, Floats, Floats], gates_KTGB: Floats, m_KTHB: Floats
) -> None:
    size = m_KTHB.shape[2]
    for job in range(z_KTFB.shape[0]):
        for step in range(m_KTHB.shape[1]):
            z_FB, gates_GB, m_HB = z_KTFB[job, step], gates_KTGB[job, step], m_KTHB[job, step]
            multiply(weights[0][job], z_FB, gates_GB[: 2 * size], False)
            multiply(weights[1][job], z_FB[: size + 1], m_HB, False)
            multiply(weights[2][job], z_FB[size:], gates_GB[2 * size :], False)
            h_before = z_FB[:size].reshape(-1)
            h_after = z_KTFB[job, step + 1, :size].reshape(-1)
            _update_state(gates_GB.reshape(-1), m_HB.reshape(-1), h_before, h_after)


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
    weights: tuple[Floats, Floats, Floats],
    outside_KSHB: Floats,
    grad_KHB: Floats,
    grad_x_KTIB: Floats,
    grad_weights: tuple[Floats, Floats, Floats],
    norms_2KT: Doubles,
    flat_K: Doubles,
) -> None:
    """Go back over time; `grad_KHB` comes in by the last state and goes out by the first."""
    z_KTFB, gates_KTGB, m_KTHB = kept
    size = m_KTHB.shape[2]
    term_NF = np.empty(weights[0].shape[1:], np.float32)
    term_HQ = np.empty(weights[1].shape[1:], np.float32)
    for job in range(z_KTFB.shape[0]):
        grad_HB = grad_KHB[job]
        grad_N = grad_HB.reshape(-1)
        last = m_KTHB.shape[1] - 1
        for step in range(last, -1, -1):
            z_FB, gates_GB, m_HB = z_KTFB[job, step], gates_KTGB[job, step], m_KTHB[job, step]
            add_outside(grad_N, outside_KSHB[job], last - step)
            norms_2KT[0, job, step] = np.sqrt(sum_of_squares(grad_N))
            flat_K[job] += count_flat_gates(gates_GB[: 2 * size].reshape(-1))
            h_before = z_FB[:size].reshape(-1)
            _to_deltas(gates_GB.reshape(-1), m_HB.reshape(-1), h_before, grad_N)
            gates_NB, new_HB = gates_GB[: 2 * size], gates_GB[2 * size :]
            multiply_right_transposed(gates_NB, z_FB, term_NF, False)
            multiply_right_transposed(m_HB, z_FB[: size + 1], term_HQ, False)
            multiply_right_transposed(new_HB, z_FB[size:], grad_weights[2][job], True)
            squares = add_term(term_NF, grad_weights[0][job], size)
            squares += add_term(term_HQ, grad_weights[1][job], size)
            norms_2KT[1, job, step] = np.sqrt(squares)
            if grad_x_KTIB.shape[2]:
                into_IB = grad_x_KTIB[job, step]
                multiply_left_transposed(weights[0][job][:, size + 1 :], gates_NB, into_IB, False)
                multiply_left_transposed(weights[2][job][:, 1:], new_HB, into_IB, True)
            multiply_left_transposed(weights[0][job][:, :size], gates_NB, grad_HB, True)
            multiply_left_transposed(weights[1][job][:, :size], m_HB, grad_HB, True)


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
