"""The long short-term memory as a kernel for the CPU, equal to the reference within float32.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units, G = 4H gates in the order i, f, g, o, F = H + 1 + I rows of what a step
reads (see `worker.cells.stacked`).

Jobs come one after the other: each job's numbers are its own arithmetic, in whatever company. Going
back, the gradient by W is added up step by step, and the deltas take the place of the gates.
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
from worker.cells.stacked import stack_inputs, stack_weights, states_of, unstack_gradients
from worker.training.parameters import LayerParameters

_ONE = np.float32(1)


class LstmCpu:
    """An LSTM layer in float32."""

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        size = parameters["weight_hh"].shape[2]
        z_KTFB, weight_KGF = stack_inputs(x_KTBI, initial, size), stack_weights(parameters)
        jobs, rows, _, sequences = z_KTFB.shape
        gates_KTGB = z_KTFB.new_empty(jobs, rows - 1, 4 * size, sequences)
        c_KTHB = z_KTFB.new_empty(jobs, rows, size, sequences)
        first_KHB = c_KTHB[:, 0]
        first_KHB.copy_(initial[1].transpose(1, 2)) if initial else first_KHB.zero_()
        _forward(z_KTFB.numpy(), weight_KGF.numpy(), gates_KTGB.numpy(), c_KTHB.numpy())
        h_KTBH = states_of(z_KTFB, size)
        final = (h_KTBH[:, -1], c_KTHB[:, -1].transpose(1, 2))
        return _LstmCpuPass(h_KTBH, final, z_KTFB, weight_KGF, gates_KTGB, c_KTHB)


@dataclass(frozen=True)
class _LstmCpuPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    z_KTFB: Tensor
    weight_KGF: Tensor
    gates_KTGB: Tensor
    c_KTHB: Tensor

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
        grad_2KHB = self.z_KTFB.new_zeros(2, jobs, size, sequences)
        for grad_KHB, final_KBH in zip(grad_2KHB, grad_final or (), strict=False):
            grad_KHB.copy_(final_KBH.transpose(1, 2))
        inputs = self.z_KTFB.shape[2] - size - 1 if needs_grad_x else 0
        grad_x_KTIB = self.z_KTFB.new_empty(jobs, time_steps, inputs, sequences)
        grad_weight_KGF = torch.zeros_like(self.weight_KGF)
        norms_2KT, flat_K = np.empty((2, jobs, time_steps)), np.zeros(jobs)
        _backward(
            (self.z_KTFB.numpy(), self.gates_KTGB.numpy(), self.c_KTHB.numpy()),
            self.weight_KGF.numpy(),
            grad_h_KSBH.transpose(2, 3).contiguous().numpy(),
            (grad_2KHB[0].numpy(), grad_2KHB[1].numpy()),
            grad_x_KTIB.numpy(),
            grad_weight_KGF.numpy(),
            norms_2KT,
            flat_K,
        )
        unstack_gradients(grad_weight_KGF, gradients)
        return LayerBackward(
            grad_x_KTBI=grad_x_KTIB.transpose(2, 3) if needs_grad_x else None,
            grad_initial=tuple(grad_KHB.transpose(1, 2) for grad_KHB in grad_2KHB),
            flow=LayerFlow(
                grad_norm_KT=torch.from_numpy(norms_2KT[0]),
                weight_term_norm_KT=torch.from_numpy(norms_2KT[1]),
                saturation_K=torch.from_numpy(flat_K) / (3 * time_steps * sequences * size),
                silent_KH=None,
            ),
        )


@compiled
def _forward(z_KTFB: Floats, weight_KGF: Floats, gates_KTGB: Floats, c_KTHB: Floats) -> None:
    size = c_KTHB.shape[2]
    for job in range(z_KTFB.shape[0]):
        weight_GF = weight_KGF[job]
        for step in range(gates_KTGB.shape[1]):
            gates_GB = gates_KTGB[job, step]
            multiply(weight_GF, z_KTFB[job, step], gates_GB, False)
            _open_gates(gates_GB, size)
            c_before, c_after = c_KTHB[job, step].reshape(-1), c_KTHB[job, step + 1].reshape(-1)
            h_N = z_KTFB[job, step + 1, :size].reshape(-1)
            _update_state(gates_GB.reshape(-1), c_before, c_after, h_N)


@compiled
def _open_gates(gates_GB: Floats, size: int) -> None:
    """Sigmoid for i, f, o and tanh for g, in loops of their own: one loop would not vectorise."""
    input_forget_N = gates_GB[: 2 * size].reshape(-1)
    for at in range(input_forget_N.size):
        input_forget_N[at] = sigmoid(input_forget_N[at])
    new_N = gates_GB[2 * size : 3 * size].reshape(-1)
    for at in range(new_N.size):
        new_N[at] = tanh(new_N[at])
    output_N = gates_GB[3 * size :].reshape(-1)
    for at in range(output_N.size):
        output_N[at] = sigmoid(output_N[at])


@compiled
def _update_state(gates_N: Floats, c_before: Floats, c_after: Floats, h_N: Floats) -> None:
    """c_t = f c_{t-1} + i g,  h_t = o tanh(c_t)."""
    count = h_N.size
    i, f = gates_N[:count], gates_N[count : 2 * count]
    g, o = gates_N[2 * count : 3 * count], gates_N[3 * count :]
    for at in range(count):
        c_after[at] = f[at] * c_before[at] + i[at] * g[at]
    for at in range(count):
        h_N[at] = o[at] * tanh(c_after[at])


@compiled
def _backward(
    kept: tuple[Floats, Floats, Floats],
    weight_KGF: Floats,
    outside_KSHB: Floats,
    grads: tuple[Floats, Floats],
    grad_x_KTIB: Floats,
    grad_weight_KGF: Floats,
    norms_2KT: Doubles,
    flat_K: Doubles,
) -> None:
    """Go back over time; `grads` come in by the last h and c, and go out by the first."""
    z_KTFB, gates_KTGB, c_KTHB = kept
    size = c_KTHB.shape[2]
    term_GF = np.empty(weight_KGF.shape[1:], np.float32)
    for job in range(z_KTFB.shape[0]):
        weight_GF, grad_HB = weight_KGF[job], grads[0][job]
        grad_h, grad_c = grad_HB.reshape(-1), grads[1][job].reshape(-1)
        last = gates_KTGB.shape[1] - 1
        for step in range(last, -1, -1):
            gates_GB = gates_KTGB[job, step]
            gates_N = gates_GB.reshape(-1)
            add_outside(grad_h, outside_KSHB[job], last - step)
            squares = sum_of_squares(grad_h) + sum_of_squares(grad_c)
            norms_2KT[0, job, step] = np.sqrt(squares)
            flat_K[job] += count_flat_gates(gates_N[: 2 * grad_h.size])
            flat_K[job] += count_flat_gates(gates_N[3 * grad_h.size :])
            c_before, c_after = c_KTHB[job, step].reshape(-1), c_KTHB[job, step + 1].reshape(-1)
            _to_deltas(gates_N, c_before, c_after, grad_h, grad_c)
            multiply_right_transposed(gates_GB, z_KTFB[job, step], term_GF, False)
            norms_2KT[1, job, step] = np.sqrt(add_term(term_GF, grad_weight_KGF[job], size))
            if grad_x_KTIB.shape[2]:
                into_IB = grad_x_KTIB[job, step]
                multiply_left_transposed(weight_GF[:, size + 1 :], gates_GB, into_IB, False)
            multiply_left_transposed(weight_GF[:, :size], gates_GB, grad_HB, False)


@compiled
def _to_deltas(
    gates_N: Floats, c_before: Floats, c_after: Floats, grad_h: Floats, grad_c: Floats
) -> None:
    """Replace the gates by the gradients by what they squash, and `grad_c` by the one of c_{t-1}.

    With s = tanh(c_t): o: dh s o (1-o);  dc += dh o (1-s^2);  i: dc g i (1-i);  g: dc i (1-g^2);
    f: dc c_{t-1} f (1-f);  dc_{t-1} = dc f.
    """
    count = grad_h.size
    i, f = gates_N[:count], gates_N[count : 2 * count]
    g, o = gates_N[2 * count : 3 * count], gates_N[3 * count :]
    for at in range(count):
        squashed = tanh(c_after[at])
        through = grad_h[at] * o[at]
        grad_c[at] += through * (_ONE - squashed * squashed)
        o[at] = through * squashed * (_ONE - o[at])
    for at in range(count):
        input_gate, new = i[at], g[at]
        i[at] = grad_c[at] * new * input_gate * (_ONE - input_gate)
        g[at] = grad_c[at] * input_gate * (_ONE - new * new)
    for at in range(count):
        forget = f[at]
        f[at] = grad_c[at] * c_before[at] * forget * (_ONE - forget)
        grad_c[at] *= forget
