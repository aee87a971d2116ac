"""The long short-term memory as kernels for the GPU, equal to the reference within float32.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units, G = 4H gates in the order i, f, g, o, N blocks of sequences (see
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

_GATES = 4
_LOADED = 6


def fits(hidden_size: int, on_chip_bytes: int) -> bool:
    """Whether a program has room: up to 64 hidden units with 160 KiB, 32 with 99.

    Args:
        hidden_size: H.
        on_chip_bytes: shared memory that the GPU gives to one program.
    """
    return bytes_on_chip(hidden_size, gates=_GATES, loaded=_LOADED) <= on_chip_bytes


class LstmGpu:
    """An LSTM layer in float32."""

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        bias_KG = parameters["bias_ih"] + parameters["bias_hh"]
        gates_KTBG = project_input(x_KTBI, parameters["weight_ih"], bias_KG)
        jobs, time_steps, sequences, _ = gates_KTBG.shape
        size = parameters["weight_hh"].shape[2]
        h_KTBH = gates_KTBG.new_empty(jobs, time_steps, sequences, size)
        c_KTBH = torch.empty_like(h_KTBH)
        like_KBH = h_KTBH[:, 0]
        start = part_of_state(initial, 0, like_KBH), part_of_state(initial, 1, like_KBH)
        blocks = Blocks(jobs, sequences, size)
        forward_kernel[blocks.grid](
            gates_KTBG,
            h_KTBH,
            c_KTBH,
            *start,
            parameters["weight_hh"].contiguous(),
            time_steps,
            sequences,
            size,
            **blocks.options,
        )
        final = (h_KTBH[:, -1], c_KTBH[:, -1])
        return _LstmGpuPass(h_KTBH, final, x_KTBI, start, parameters, gates_KTBG, c_KTBH, blocks)


@dataclass(frozen=True)
class _LstmGpuPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    x_KTBI: Tensor
    initial: tuple[Tensor, Tensor]
    parameters: LayerParameters
    gates_KTBG: Tensor
    c_KTBH: Tensor
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
        saturation_K = self._saturation() if measure else None
        like_KBH = self.initial[0]
        grads = part_of_state(grad_final, 0, like_KBH), part_of_state(grad_final, 1, like_KBH)
        squares = room_for_squares(self.h_KTBH, time_steps, self.blocks.per_job)
        backward_kernel[self.blocks.grid](
            self.gates_KTBG,
            self.c_KTBH,
            self.initial[1],
            grad_h_KSBH.contiguous(),
            *grads,
            self.parameters["weight_hh"].contiguous(),
            *squares,
            time_steps,
            grad_h_KSBH.shape[1],
            sequences,
            size,
            MEASURE=measure,
            **self.blocks.options,
        )
        hidden_gradients(self.initial[0], self.h_KTBH, self.gates_KTBG, gradients)
        grad_x_KTBI = input_gradients(
            self.x_KTBI, self.gates_KTBG, self.parameters, gradients, needs_grad_x=needs_grad_x
        )
        flow = None
        if saturation_K is not None:
            flow = self._flow(norm_over_blocks(squares), saturation_K)
        return LayerBackward(grad_x_KTBI, grads, flow)

    def _saturation(self) -> Tensor:
        i, f, _, o = self.gates_KTBG.chunk(4, dim=3)
        return torch.stack([gate_saturation(gate) for gate in (i, f, o)]).mean(dim=0)

    def _flow(self, grad_norm_KT: Tensor, saturation_K: Tensor) -> LayerFlow:
        return LayerFlow(
            grad_norm_KT=grad_norm_KT,
            weight_term_norm_KT=weight_term_norm_in_parts(
                self.h_KTBH, self.gates_KTBG, self.initial[0]
            ),
            saturation_K=saturation_K,
            silent_KH=None,
        )


@kernel
def forward_kernel(
    gates_ptr: tl.tensor,
    h_ptr: tl.tensor,
    c_ptr: tl.tensor,
    first_h_ptr: tl.tensor,
    first_c_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    time_steps: int,
    sequences: int,
    size: int,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Replace W_ih x_t + b of every step by its gates, and write c_t and h_t."""
    job = tl.program_id(1).to(tl.int64)  # in 64 bits, so that offsets are
    place, gate_place, inside = places_of_block(sequences, size, 4, ROWS, WIDTH)
    step_size = sequences * size
    weight_ptr += job * 4 * size * size
    weight_i = tl.trans(load_matrix(weight_ptr, size, WIDTH))
    weight_f = tl.trans(load_matrix(weight_ptr + size * size, size, WIDTH))
    weight_g = tl.trans(load_matrix(weight_ptr + 2 * size * size, size, WIDTH))
    weight_o = tl.trans(load_matrix(weight_ptr + 3 * size * size, size, WIDTH))
    h = tl.load(first_h_ptr + job * step_size + place, mask=inside, other=0.0)
    c = tl.load(first_c_ptr + job * step_size + place, mask=inside, other=0.0)
    for step in tl.range(0, time_steps, num_stages=2):
        at = (job * time_steps + step) * step_size
        gates = gates_ptr + 4 * at + gate_place
        a_i = tl.load(gates, mask=inside, other=0.0)
        a_f = tl.load(gates + size, mask=inside, other=0.0)
        a_g = tl.load(gates + 2 * size, mask=inside, other=0.0)
        a_o = tl.load(gates + 3 * size, mask=inside, other=0.0)
        i = sigmoid(multiply(h, weight_i, a_i))
        f = sigmoid(multiply(h, weight_f, a_f))
        g = tanh(multiply(h, weight_g, a_g))
        o = sigmoid(multiply(h, weight_o, a_o))
        c = f * c + i * g
        h = o * tanh(c)
        tl.store(gates, i, mask=inside)
        tl.store(gates + size, f, mask=inside)
        tl.store(gates + 2 * size, g, mask=inside)
        tl.store(gates + 3 * size, o, mask=inside)
        tl.store(c_ptr + at + place, c, mask=inside)
        tl.store(h_ptr + at + place, h, mask=inside)


@kernel
def backward_kernel(
    gates_ptr: tl.tensor,
    c_ptr: tl.tensor,
    first_c_ptr: tl.tensor,
    outside_ptr: tl.tensor,
    grad_h_ptr: tl.tensor,
    grad_c_ptr: tl.tensor,
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
    """Replace the gates by their deltas; `grad` comes in by the last state, out by the first.

    With s = tanh(c_t): o: dh s o (1-o);  dc += dh o (1-s^2);  i: dc g i (1-i);  g: dc i (1-g^2);
    f: dc c_{t-1} f (1-f);  dc_{t-1} = dc f.
    """
    job = tl.program_id(1).to(tl.int64)
    place, gate_place, inside = places_of_block(sequences, size, 4, ROWS, WIDTH)
    step_size = sequences * size
    weight_ptr += job * 4 * size * size
    weight_i = load_matrix(weight_ptr, size, WIDTH)
    weight_f = load_matrix(weight_ptr + size * size, size, WIDTH)
    weight_g = load_matrix(weight_ptr + 2 * size * size, size, WIDTH)
    weight_o = load_matrix(weight_ptr + 3 * size * size, size, WIDTH)
    grad_h_ptr += job * step_size
    grad_c_ptr += job * step_size
    grad_h = tl.load(grad_h_ptr + place, mask=inside, other=0.0)
    grad_c = tl.load(grad_c_ptr + place, mask=inside, other=0.0)
    last = job * time_steps + time_steps - 1
    c = tl.load(c_ptr + last * step_size + place, mask=inside, other=0.0)
    for back in tl.range(0, time_steps, num_stages=2):
        at = (last - back) * step_size
        gates = gates_ptr + 4 * at + gate_place
        i = tl.load(gates, mask=inside, other=0.0)
        f = tl.load(gates + size, mask=inside, other=0.0)
        g = tl.load(gates + 2 * size, mask=inside, other=0.0)
        o = tl.load(gates + 3 * size, mask=inside, other=0.0)
        is_first = back == time_steps - 1
        before = tl.where(is_first, first_c_ptr + job * step_size, c_ptr + at - step_size)
        c_before = tl.load(before + place, mask=inside, other=0.0)
        outside = outside_ptr + (job * answered + answered - 1 - back) * step_size + place
        grad_h += tl.load(outside, mask=tl.where(back < answered, inside, False), other=0.0)
        if MEASURE:
            scale = scale_of(tl.maximum(tl.abs(grad_h), tl.abs(grad_c)))
            block = (last - back) * tl.num_programs(0) + tl.program_id(0)
            squares = scaled_squares(grad_h, scale) + scaled_squares(grad_c, scale)
            tl.store(scale_ptr + block, scale)
            tl.store(squares_ptr + block, squares)
        squashed = tanh(c)
        grad_c += grad_h * o * (1 - squashed * squashed)
        delta_i = grad_c * g * i * (1 - i)
        delta_f = grad_c * c_before * f * (1 - f)
        delta_g = grad_c * i * (1 - g * g)
        delta_o = grad_h * squashed * o * (1 - o)
        tl.store(gates, delta_i, mask=inside)
        tl.store(gates + size, delta_f, mask=inside)
        tl.store(gates + 2 * size, delta_g, mask=inside)
        tl.store(gates + 3 * size, delta_o, mask=inside)
        grad_h = multiply(delta_i, weight_i, tl.zeros_like(grad_h))
        grad_h = multiply(delta_f, weight_f, grad_h)
        grad_h = multiply(delta_g, weight_g, grad_h)
        grad_h = multiply(delta_o, weight_o, grad_h)
        grad_c = grad_c * f
        c = c_before
    tl.store(grad_h_ptr + place, grad_h, mask=inside)
    tl.store(grad_c_ptr + place, grad_c, mask=inside)
