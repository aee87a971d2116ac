"""The loops over time of a Skip RNN as kernels for the CPU.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units, G gates times H, F = H + 1 + I rows of what a step reads (see
`worker.cells.stacked`). C is H in an LSTM and 0 in the others, which have no c.

The steps are those of the cells' own kernels. Jobs come one after the other: each job's numbers are
its own arithmetic, in whatever company.
"""

import numpy as np

from worker.cells.accumulate import (
    Doubles,
    Flags,
    add_outside,
    count_flat_gates,
    empty_grad_x,
    sum_of_squares,
)
from worker.cells.compiled import compiled
from worker.cells.gate_kernels import (
    add_gain,
    add_gate_gradients,
    add_slope,
    advance,
    choose,
    gate_back,
    split,
)
from worker.cells.gru.cpu import (
    Gradients,
    step_back_gru,
    step_gru,
    zeros_like_gru_parts,
)
from worker.cells.lstm.cpu import count_flat, step_back_lstm, step_lstm
from worker.cells.matmul import Floats
from worker.cells.rnn.activation_kernels import Forms, activate_back, find_silent
from worker.cells.rnn.activation_kernels import count_flat as count_flat_ends
from worker.cells.rnn.cpu import step_back_rnn, step_rnn
from worker.cells.stacked import stack_inputs

#: The parts of W; one that a cell has not is (K, 0, H).
Weights = tuple[Floats, Floats, Floats]
#: z, gates, m and c, and what each step proposed as h and c; what a cell has not has no rows.
Kept = tuple[Floats, Floats, Floats, Floats, Floats, Floats]
#: Of the gate: w (K, H), b (K, 1), p (K, T+1, B) and d (K, T, B).
Gate = tuple[Floats, Floats, Floats, Floats]

RNN, GRU, LSTM = 0, 1, 2


@compiled
def make_kept(kind: int, x_KTIB: Floats, first: tuple[Floats, Floats]) -> Kept:
    """Room for what a forward pass keeps; z and c hold the input and the first state."""
    z_KTFB = stack_inputs(x_KTIB, first[0])
    jobs, time_steps, _, sequences = x_KTIB.shape
    size, c_size = first[0].shape[1], first[1].shape[1]
    gates = 4 * size if kind == LSTM else 3 * size if kind == GRU else 0
    gates_KTGB = np.empty((jobs, time_steps, gates, sequences), np.float32)
    m_KTHB = np.empty((jobs, time_steps, size if kind == GRU else 0, sequences), np.float32)
    c_KTCB = np.empty((jobs, time_steps + 1, c_size, sequences), np.float32)
    c_KTCB[:, 0] = first[1]
    new_h_KTHB = np.empty((jobs, time_steps, size, sequences), np.float32)
    new_c_KTCB = np.empty((jobs, time_steps, c_size, sequences), np.float32)
    return z_KTFB, gates_KTGB, m_KTHB, c_KTCB, new_h_KTHB, new_c_KTCB


@compiled
def forward(kind: int, kept: Kept, weights: Weights, forms: Forms, gate: Gate) -> None:
    """Fill in the states, the proposals, and the gate's p and d; the first p is given."""
    z_KTFB, gates_KTGB, m_KTHB, c_KTCB, new_h_KTHB, new_c_KTCB = kept
    size = new_h_KTHB.shape[2]
    for job in range(z_KTFB.shape[0]):
        weights_of_job = (weights[0][job], weights[1][job], weights[2][job])
        gate_of_job = (gate[0][job], gate[1][job])
        for step in range(new_h_KTHB.shape[1]):
            z_FB, h_HB = z_KTFB[job, step], z_KTFB[job, step + 1, :size]
            gates_GB, new_h_HB = gates_KTGB[job, step], new_h_KTHB[job, step]
            c_CB, new_c_CB = c_KTCB[job, step], new_c_KTCB[job, step]
            if kind == LSTM:
                step_lstm(weights_of_job[0], z_FB, c_CB, gates_GB, new_c_CB, new_h_HB)
            elif kind == GRU:
                step_gru(weights_of_job, z_FB, gates_GB, m_KTHB[job, step], new_h_HB)
            else:
                step_rnn(weights_of_job[0], z_FB, new_h_HB, forms, job)
            chance_B = gate[2][job, step]
            choose(chance_B, new_h_HB, z_FB[:size], h_HB)
            choose(chance_B, new_c_CB, c_CB, c_KTCB[job, step + 1])
            read_HB = c_KTCB[job, step + 1] if kind == LSTM else h_HB
            advance(read_HB, gate_of_job, chance_B, gate[3][job, step], gate[2][job, step + 1])


@compiled
def backward(
    kind: int,
    kept: Kept,
    weights: Weights,
    forms: Forms,
    gate: Gate,
    costs_K: Floats,
    outside_KSHB: Floats,
    grads: tuple[Floats, Floats, Floats],
    grad_bias_KH: Floats,
    needs_grad_x: bool,
) -> tuple[Gradients, tuple[Floats, Floats], Floats, Doubles, Doubles, Flags]:
    """Go back over time; `grads` come in by the last h, c and p, and go out by the first.

    Args:
        kind: of the cell.
        kept: by the forward pass; the gates and m are overwritten.
        weights: the parts of W.
        forms: of an RNN's nonlinearity.
        gate: of the forward pass.
        costs_K: of an update in a sequence, by job, over the number of sequences.
        outside_KSHB: gradient from outside by the last S states.
        grads: by h (K, H, B), c (K, C, B) and p (K, B).
        grad_bias_KH: the gradient by modReLU's bias is added to it.
        needs_grad_x: whether the gradient by the inputs is wanted.

    Returns:
        Gradients by the parts of W, by w and b of the gate and by x, norms of the states' gradients
        and of W_hh's terms, share of the activations at a flat end, and which units were always 0.
    """
    z_KTFB, gates_KTGB, m_KTHB, c_KTCB, new_h_KTHB, new_c_KTCB = kept
    (jobs, rows, reads, sequences), size = z_KTFB.shape, new_h_KTHB.shape[2]
    grad_x_KTIB = empty_grad_x(jobs, rows - 1, reads - size - 1 if needs_grad_x else 0, sequences)
    grad_weights = zeros_like_gru_parts(weights, size)
    grad_gate = (np.zeros_like(gate[0]), np.zeros_like(gate[1]))
    norms_2KT = np.empty((2, jobs, rows - 1))
    flat_K, silent_KH = np.zeros(jobs), np.zeros((jobs, size), np.bool_)
    terms = (np.empty_like(grad_weights[0][0]), np.empty_like(grad_weights[2][0]))
    copied_h, delta_HB = np.empty_like(grads[0][0]), np.empty_like(grads[0][0])
    copied_c = np.empty_like(grads[1][0])
    slope_B, update_B = np.empty(sequences, np.float32), np.empty(sequences, np.float32)
    for job in range(jobs):
        weights_of_job = (weights[0][job], weights[1][job], weights[2][job])
        grads_of_job = (
            grad_weights[0][job],
            grad_weights[1][job],
            grad_weights[2][job],
            grad_weights[3][job],
            grad_weights[4][job],
        )
        gate_of_job = (gate[0][job], gate[1][job])
        by_gate = (grad_gate[0][job], grad_gate[1][job])
        grad_HB, grad_c_CB, grad_chance_B = grads[0][job], grads[1][job], grads[2][job]
        for step in range(rows - 2, -1, -1):
            z_FB, h_HB = z_KTFB[job, step], z_KTFB[job, step + 1, :size]
            c_CB, after_c_CB = c_KTCB[job, step], c_KTCB[job, step + 1]
            gates_GB, new_h_HB = gates_KTGB[job, step], new_h_KTHB[job, step]
            new_c_CB = new_c_KTCB[job, step]
            chance_B = gate[2][job, step]
            add_outside(grad_HB.reshape(-1), outside_KSHB[job], rows - 2 - step)
            gate_back(chance_B, gate[3][job, step], grad_chance_B, slope_B, update_B)
            read_HB, by_read_HB = (after_c_CB, grad_c_CB) if kind == LSTM else (h_HB, grad_HB)
            add_slope(slope_B, gate_of_job, read_HB, by_read_HB)
            add_gate_gradients(slope_B, read_HB, by_gate)
            squares = sum_of_squares(grad_HB.reshape(-1)) + sum_of_squares(grad_c_CB.reshape(-1))
            norms_2KT[0, job, step] = np.sqrt(squares)
            add_gain(new_h_HB, z_FB[:size], grad_HB, update_B)
            add_gain(new_c_CB, c_CB, grad_c_CB, update_B)
            grad_chance_B += update_B + costs_K[job]
            split(chance_B, grad_HB, copied_h)
            split(chance_B, grad_c_CB, copied_c)
            if kind == LSTM:
                flat_K[job] += count_flat(gates_GB, size)
                norms_2KT[1, job, step] = step_back_lstm(
                    weights_of_job[0],
                    (z_FB, gates_GB, c_CB, new_c_CB),
                    (grad_HB, grad_c_CB),
                    (grads_of_job[0], grads_of_job[1]),
                    terms[0],
                    grad_x_KTIB[job, step],
                )
            elif kind == GRU:
                flat_K[job] += count_flat_gates(gates_GB[: 2 * size].reshape(-1))
                norms_2KT[1, job, step] = step_back_gru(
                    weights_of_job,
                    (z_FB, gates_GB, m_KTHB[job, step]),
                    grad_HB,
                    grads_of_job,
                    terms,
                    grad_x_KTIB[job, step],
                )
            else:
                activate_back(delta_HB, grad_HB, new_h_HB, forms, job, grad_bias_KH)
                norms_2KT[1, job, step] = step_back_rnn(
                    weights_of_job[0],
                    z_FB,
                    delta_HB,
                    grad_HB,
                    (grads_of_job[0], grads_of_job[1]),
                    terms[0],
                    grad_x_KTIB[job, step],
                )
            grad_HB += copied_h
            grad_c_CB += copied_c
        if kind == RNN and forms.is_tanh:
            flat_K[job] = count_flat_ends(new_h_KTHB[job], size)
        if kind == RNN and forms.can_die:
            find_silent(new_h_KTHB[job], silent_KH[job])
    gates = 3 if kind == LSTM else 2 if kind == GRU else 1
    flat_K /= gates * size * sequences * (rows - 1)
    return grad_weights, grad_gate, grad_x_KTIB, norms_2KT, flat_K, silent_KH
