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
    stack_weights,
    states_of,
    unstack_gradients,
    zeros_like_parts,
)
from worker.training.parameters import LayerParameters

_ONE = np.float32(1)


class LstmCpu:
    """An LSTM layer in float32."""

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        size = parameters["weight_hh"].shape[2]
        x_KTIB, weight_KGF = sequences_last(x_KTBI), stack_weights(parameters)
        first_h = part_of_state(initial, 0, x_KTIB, size)
        first_c = part_of_state(initial, 1, x_KTIB, size)
        kept = _forward(x_KTIB, (first_h, first_c), weight_KGF)
        h_KTBH = states_of(kept[0], size)
        final = (h_KTBH[:, -1], torch.from_numpy(kept[2][:, -1]).transpose(1, 2))
        return _LstmCpuPass(h_KTBH, final, weight_KGF, kept)


@dataclass(frozen=True)
class _LstmCpuPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    weight_KGF: Floats
    kept: tuple[Floats, Floats, Floats]  # z, gates, c

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,  # noqa: ARG002 - costs next to nothing here
    ) -> LayerBackward:
        z_KTFB, size = self.kept[0], self.h_KTBH.shape[3]
        grads = (
            part_of_state(grad_final, 0, z_KTFB, size),
            part_of_state(grad_final, 1, z_KTFB, size),
        )
        grad_weights, grad_x_KTIB, norms_2KT, flat_K = _backward(
            self.kept, self.weight_KGF, sequences_last(grad_h_KSBH), grads, needs_grad_x
        )
        unstack_gradients(grad_weights, gradients)
        return LayerBackward(
            grad_x_KTBI=torch.from_numpy(grad_x_KTIB).transpose(2, 3) if needs_grad_x else None,
            grad_initial=tuple(torch.from_numpy(grad).transpose(1, 2) for grad in grads),
            flow=LayerFlow(
                grad_norm_KT=torch.from_numpy(norms_2KT[0]),
                weight_term_norm_KT=torch.from_numpy(norms_2KT[1]),
                saturation_K=torch.from_numpy(flat_K),
                silent_KH=None,
            ),
        )


@compiled
def _forward(
    x_KTIB: Floats, first: tuple[Floats, Floats], weight_KGF: Floats
) -> tuple[Floats, Floats, Floats]:
    """Returns z, the gates and c."""
    z_KTFB = stack_inputs(x_KTIB, first[0])
    jobs, time_steps, _, sequences = x_KTIB.shape
    size = first[0].shape[1]
    gates_KTGB = np.empty((jobs, time_steps, 4 * size, sequences), np.float32)
    c_KTHB = np.empty((jobs, time_steps + 1, size, sequences), np.float32)
    c_KTHB[:, 0] = first[1]
    for job in range(jobs):
        for step in range(time_steps):
            step_lstm(
                weight_KGF[job],
                z_KTFB[job, step],
                c_KTHB[job, step],
                gates_KTGB[job, step],
                c_KTHB[job, step + 1],
                z_KTFB[job, step + 1, :size],
            )
    return z_KTFB, gates_KTGB, c_KTHB


@compiled
def step_lstm(
    weight_GF: Floats, z_FB: Floats, c_HB: Floats, gates_GB: Floats, new_c_HB: Floats, h_HB: Floats
) -> None:
    """The gates, the new c and the new h from W z and the c before."""
    multiply(weight_GF, z_FB, gates_GB, False)
    open_gates(gates_GB, c_HB.shape[0])
    gates_N = gates_GB.reshape(-1)
    update_state(gates_N, c_HB.reshape(-1), new_c_HB.reshape(-1), h_HB.reshape(-1))


@compiled
def open_gates(gates_GB: Floats, size: int) -> None:
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
def update_state(gates_N: Floats, c_before: Floats, c_after: Floats, h_N: Floats) -> None:
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
    needs_grad_x: bool,
) -> tuple[tuple[Floats, Floats], Floats, Doubles, Doubles]:
    """Go back over time; `grads` come in by the last h and c, and go out by the first.

    Returns:
        Gradients by W and x, norms of the states' gradients and of W_hh's terms, share of the
        gates at a flat end.
    """
    z_KTFB, gates_KTGB, c_KTHB = kept
    (jobs, rows, reads, sequences), size = z_KTFB.shape, c_KTHB.shape[2]
    grad_x_KTIB = empty_grad_x(jobs, rows - 1, reads - size - 1 if needs_grad_x else 0, sequences)
    hidden_KGH, rest_KGR = zeros_like_parts(weight_KGF, size)
    norms_2KT, flat_K = np.empty((2, jobs, rows - 1)), np.zeros(jobs)
    term_GH = np.empty_like(hidden_KGH[0])
    for job in range(jobs):
        grad_HB, grad_c_HB = grads[0][job], grads[1][job]
        grad_h, grad_c = grad_HB.reshape(-1), grad_c_HB.reshape(-1)
        for step in range(rows - 2, -1, -1):
            gates_GB = gates_KTGB[job, step]
            add_outside(grad_h, outside_KSHB[job], rows - 2 - step)
            squares = sum_of_squares(grad_h) + sum_of_squares(grad_c)
            norms_2KT[0, job, step] = np.sqrt(squares)
            flat_K[job] += count_flat(gates_GB, size)
            norms_2KT[1, job, step] = step_back_lstm(
                weight_KGF[job],
                (z_KTFB[job, step], gates_GB, c_KTHB[job, step], c_KTHB[job, step + 1]),
                (grad_HB, grad_c_HB),
                (hidden_KGH[job], rest_KGR[job]),
                term_GH,
                grad_x_KTIB[job, step],
            )
        flat_K[job] /= 3 * size * sequences * (rows - 1)
    return (hidden_KGH, rest_KGR), grad_x_KTIB, norms_2KT, flat_K


@compiled
def count_flat(gates_GB: Floats, size: int) -> int:
    """How many of the gates i, f, o are at their flat ends; before they become deltas."""
    input_forget = count_flat_gates(gates_GB[: 2 * size].reshape(-1))
    return input_forget + count_flat_gates(gates_GB[3 * size :].reshape(-1))


@compiled
def step_back_lstm(
    weight_GF: Floats,
    kept: tuple[Floats, Floats, Floats, Floats],
    grads: tuple[Floats, Floats],
    grad_weights: tuple[Floats, Floats],
    term_GH: Floats,
    grad_x_IB: Floats,
) -> float:
    """Go back over a step; `grads` by new h and c are overwritten by those of h and c before.

    Args:
        weight_GF: W.
        kept: z, the gates (overwritten by their deltas), the c before and the new one.
        grads: by h and by c, each (H, B).
        grad_weights: by the two parts of W; the step's terms are added to them.
        term_GH: scratch.
        grad_x_IB: overwritten; without rows if it is not needed.

    Returns:
        The norm of the term of dL/dW_hh.
    """
    z_FB, gates_GB, c_HB, new_c_HB = kept
    grad_HB, grad_c_HB = grads
    size = grad_HB.shape[0]
    gates_N = gates_GB.reshape(-1)
    before, after = c_HB.reshape(-1), new_c_HB.reshape(-1)
    to_deltas(gates_N, before, after, grad_HB.reshape(-1), grad_c_HB.reshape(-1))
    multiply_right_transposed(gates_GB, z_FB[:size], term_GH, False)
    squares = add_term(term_GH, grad_weights[0])
    multiply_right_transposed(gates_GB, z_FB[size:], grad_weights[1], True)
    if grad_x_IB.shape[0]:
        multiply_left_transposed(weight_GF[:, size + 1 :], gates_GB, grad_x_IB, False)
    multiply_left_transposed(weight_GF[:, :size], gates_GB, grad_HB, False)
    return float(np.sqrt(squares))


@compiled
def to_deltas(
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
