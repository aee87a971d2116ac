"""The gated recurrent unit as kernels for the GPU, equal to the reference within float32.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units, G = 3H gates in the order r, z, n, N blocks of sequences (see
`worker.cells.gpu_layout`).

A kernel runs over all time steps with W_hh on the chip. Products that no step waits for, of the
inputs and of the gradients by weights, are one operation each outside.
"""

from dataclasses import dataclass

import torch
import triton.language as tl
from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass, State
from worker.cells.flow import LayerFlow
from worker.cells.gpu_blocks import load_matrix, multiply, places_of_block, sigmoid, tanh
from worker.cells.gpu_compiled import kernel
from worker.cells.gpu_layout import Blocks, bytes_on_chip, part_of_state
from worker.cells.gpu_norms import (
    norm_over_blocks,
    room_for_squares,
    scale_of,
    scaled_squares,
    weight_term_norm_in_parts,
)
from worker.cells.products import (
    gate_saturation,
    hidden_gradients,
    input_gradients,
    project_input,
)
from worker.training.parameters import LayerParameters

_GATES = 3
_LOADED = 6


def fits(hidden_size: int, on_chip_bytes: int) -> bool:
    """Whether a program has room: up to 64 hidden units with 160 KiB, 32 with 99.

    Args:
        hidden_size: H.
        on_chip_bytes: shared memory that the GPU gives to one program.
    """
    return bytes_on_chip(hidden_size, gates=_GATES, loaded=_LOADED) <= on_chip_bytes


class GruGpu:
    """A GRU layer in float32."""

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        size = parameters["weight_hh"].shape[2]
        # Of r and z both biases add up; m = W_hn h + b_hn is multiplied by r before it is added.
        bias_KG = parameters["bias_ih"].clone()
        bias_KG[:, : 2 * size] += parameters["bias_hh"][:, : 2 * size]
        gates_KTBG = project_input(x_KTBI, parameters["weight_ih"], bias_KG)
        jobs, time_steps, sequences, _ = gates_KTBG.shape
        h_KTBH = gates_KTBG.new_empty(jobs, time_steps, sequences, size)
        m_KTBH = torch.empty_like(h_KTBH)
        initial_KBH = part_of_state(initial, 0, h_KTBH[:, 0])
        blocks = Blocks(jobs, sequences, size)
        forward_kernel[blocks.grid](
            gates_KTBG,
            h_KTBH,
            m_KTBH,
            initial_KBH,
            parameters["weight_hh"].contiguous(),
            parameters["bias_hh"].contiguous(),
            time_steps,
            sequences,
            size,
            **blocks.options,
        )
        final = (h_KTBH[:, -1],)
        return _GruGpuPass(
            h_KTBH, final, x_KTBI, initial_KBH, parameters, gates_KTBG, m_KTBH, blocks
        )


@dataclass(frozen=True)
class _GruGpuPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    x_KTBI: Tensor
    initial_KBH: Tensor
    parameters: LayerParameters
    gates_KTBG: Tensor
    m_KTBH: Tensor
    blocks: Blocks

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,
    ) -> LayerBackward:
        _, time_steps, sequences, size = self.h_KTBH.shape
        rz_KTBN = self.gates_KTBG[..., : 2 * size]
        saturation_K = gate_saturation(rz_KTBN) if measure else None
        grad_KBH = part_of_state(grad_final, 0, self.initial_KBH)
        squares = room_for_squares(self.h_KTBH, time_steps, self.blocks.per_job)
        backward_kernel[self.blocks.grid](
            self.gates_KTBG,
            self.m_KTBH,
            self.h_KTBH,
            self.initial_KBH,
            grad_h_KSBH.contiguous(),
            grad_KBH,
            self.parameters["weight_hh"].contiguous(),
            *squares,
            time_steps,
            grad_h_KSBH.shape[1],
            sequences,
            size,
            MEASURE=measure,
            **self.blocks.options,
        )
        hidden_delta_KTBG = torch.cat([rz_KTBN, self.m_KTBH], dim=3)
        hidden_gradients(self.initial_KBH, self.h_KTBH, hidden_delta_KTBG, gradients)
        grad_x_KTBI = input_gradients(
            self.x_KTBI, self.gates_KTBG, self.parameters, gradients, needs_grad_x=needs_grad_x
        )
        flow = None
        if saturation_K is not None:
            flow = LayerFlow(
                grad_norm_KT=norm_over_blocks(squares),
                weight_term_norm_KT=weight_term_norm_in_parts(
                    self.h_KTBH, hidden_delta_KTBG, self.initial_KBH
                ),
                saturation_K=saturation_K,
                silent_KH=None,
            )
        return LayerBackward(grad_x_KTBI, (grad_KBH,), flow)


@kernel
def forward_kernel(
    gates_ptr: tl.tensor,
    h_ptr: tl.tensor,
    m_ptr: tl.tensor,
    initial_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    time_steps: int,
    sequences: int,
    size: int,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Replace W_ih x_t + b of every step by its gates, and write m_t and h_t."""
    job = tl.program_id(1).to(tl.int64)  # in 64 bits, so that offsets are
    place, gate_place, inside = places_of_block(sequences, size, 3, ROWS, WIDTH)
    step_size = sequences * size
    weight_ptr += job * 3 * size * size
    weight_r = tl.trans(load_matrix(weight_ptr, size, WIDTH))
    weight_z = tl.trans(load_matrix(weight_ptr + size * size, size, WIDTH))
    weight_n = tl.trans(load_matrix(weight_ptr + 2 * size * size, size, WIDTH))
    columns = tl.arange(0, WIDTH)[None, :]
    bias = tl.load(bias_ptr + job * 3 * size + 2 * size + columns, mask=columns < size, other=0.0)
    h = tl.load(initial_ptr + job * step_size + place, mask=inside, other=0.0)
    for step in tl.range(0, time_steps, num_stages=2):
        at = (job * time_steps + step) * step_size
        gates = gates_ptr + 3 * at + gate_place
        a_r = tl.load(gates, mask=inside, other=0.0)
        a_z = tl.load(gates + size, mask=inside, other=0.0)
        a_n = tl.load(gates + 2 * size, mask=inside, other=0.0)
        r = sigmoid(multiply(h, weight_r, a_r))
        z = sigmoid(multiply(h, weight_z, a_z))
        m = multiply(h, weight_n, tl.zeros_like(h)) + bias
        n = tanh(a_n + r * m)
        h = n + z * (h - n)
        tl.store(gates, r, mask=inside)
        tl.store(gates + size, z, mask=inside)
        tl.store(gates + 2 * size, n, mask=inside)
        tl.store(m_ptr + at + place, m, mask=inside)
        tl.store(h_ptr + at + place, h, mask=inside)


@kernel
def backward_kernel(
    gates_ptr: tl.tensor,
    m_ptr: tl.tensor,
    h_ptr: tl.tensor,
    initial_ptr: tl.tensor,
    outside_ptr: tl.tensor,
    grad_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    scale_ptr: tl.tensor,
    squares_ptr: tl.tensor,
    time_steps: int,
    answered: int,
    sequences: int,
    size: int,
    MEASURE: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Replace gates and m by their deltas; `grad` comes in by the last state, out by the first.

    z: dh (h_{t-1} - n) z (1-z);  n: dh (1-z) (1-n^2);  m: dn r;  r: dn m r (1-r);  dh_{t-1} = dh z
    and what comes through the products.
    """
    job = tl.program_id(1).to(tl.int64)
    place, gate_place, inside = places_of_block(sequences, size, 3, ROWS, WIDTH)
    step_size = sequences * size
    weight_ptr += job * 3 * size * size
    weight_r = load_matrix(weight_ptr, size, WIDTH)
    weight_z = load_matrix(weight_ptr + size * size, size, WIDTH)
    weight_n = load_matrix(weight_ptr + 2 * size * size, size, WIDTH)
    grad_ptr += job * step_size
    grad = tl.load(grad_ptr + place, mask=inside, other=0.0)
    last = job * time_steps + time_steps - 1
    for back in tl.range(0, time_steps, num_stages=2):
        at = (last - back) * step_size
        gates = gates_ptr + 3 * at + gate_place
        r = tl.load(gates, mask=inside, other=0.0)
        z = tl.load(gates + size, mask=inside, other=0.0)
        n = tl.load(gates + 2 * size, mask=inside, other=0.0)
        m = tl.load(m_ptr + at + place, mask=inside, other=0.0)
        is_first = back == time_steps - 1
        before = tl.where(is_first, initial_ptr + job * step_size, h_ptr + at - step_size)
        h_before = tl.load(before + place, mask=inside, other=0.0)
        outside = outside_ptr + (job * answered + answered - 1 - back) * step_size + place
        grad += tl.load(outside, mask=tl.where(back < answered, inside, False), other=0.0)
        if MEASURE:
            scale = scale_of(tl.abs(grad))
            block = (last - back) * tl.num_programs(0) + tl.program_id(0)
            tl.store(scale_ptr + block, scale)
            tl.store(squares_ptr + block, scaled_squares(grad, scale))
        delta_z = grad * (h_before - n) * z * (1 - z)
        delta_n = grad * (1 - z) * (1 - n * n)
        delta_m = delta_n * r
        delta_r = delta_n * m * r * (1 - r)
        tl.store(gates, delta_r, mask=inside)
        tl.store(gates + size, delta_z, mask=inside)
        tl.store(gates + 2 * size, delta_n, mask=inside)
        tl.store(m_ptr + at + place, delta_m, mask=inside)
        grad = multiply(delta_r, weight_r, grad * z)
        grad = multiply(delta_z, weight_z, grad)
        grad = multiply(delta_m, weight_n, grad)
    tl.store(grad_ptr + place, grad, mask=inside)
