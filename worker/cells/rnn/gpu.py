"""The Elman network as kernels for the GPU, equal to the reference within float32.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units, N blocks of sequences (see `worker.cells.gpu_layout`).

A kernel runs over all time steps with W_hh on the chip. Products that no step waits for, of the
inputs and of the gradients by weights, are one operation each outside.
"""

from dataclasses import dataclass

import torch
import triton.language as tl
from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass, State
from worker.cells.flow import LayerFlow
from worker.cells.gpu_blocks import load_matrix, multiply, places_of_block, tanh
from worker.cells.gpu_compiled import kernel
from worker.cells.gpu_layout import Blocks, bytes_on_chip, part_of_state
from worker.cells.gpu_norms import (
    norm_over_blocks,
    room_for_squares,
    scale_of,
    scaled_squares,
    weight_term_norm_in_parts,
)
from worker.cells.products import hidden_gradients, input_gradients, project_input
from worker.remedies.activations import Nonlinearity
from worker.training.parameters import LayerParameters

_GATES = 1
_LOADED = 2


def fits(hidden_size: int, on_chip_bytes: int) -> bool:
    """Whether a program has room: up to 128 hidden units with 160 KiB, 64 with 99.

    Args:
        hidden_size: H.
        on_chip_bytes: shared memory that the GPU gives to one program.
    """
    return bytes_on_chip(hidden_size, gates=_GATES, loaded=_LOADED) <= on_chip_bytes


class RnnGpu:
    """An RNN layer in float32, of a size that `fits`.

    Args:
        nonlinearity: of the states.
        device: of the tensors it will be given.
    """

    def __init__(self, nonlinearity: Nonlinearity, device: torch.device) -> None:
        self._nonlinearity = nonlinearity
        self._slope_K = torch.from_numpy(nonlinearity.slopes).to(device)

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        bias_KH = parameters["bias_ih"] + parameters["bias_hh"]
        h_KTBH = project_input(x_KTBI, parameters["weight_ih"], bias_KH)
        jobs, time_steps, sequences, size = h_KTBH.shape
        blocks = Blocks(jobs, sequences, size)
        initial_KBH = part_of_state(initial, 0, h_KTBH[:, 0])
        forward_kernel[blocks.grid](
            h_KTBH,
            initial_KBH,
            parameters["weight_hh"].contiguous(),
            self._slope_K,
            time_steps,
            sequences,
            size,
            IS_TANH=self._nonlinearity.is_tanh,
            **blocks.options,
        )
        final = (h_KTBH[:, -1],)
        return _RnnGpuPass(
            h_KTBH,
            final,
            x_KTBI,
            initial_KBH,
            parameters,
            self._nonlinearity,
            self._slope_K,
            blocks,
        )


@dataclass(frozen=True)
class _RnnGpuPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    x_KTBI: Tensor
    initial_KBH: Tensor
    parameters: LayerParameters
    nonlinearity: Nonlinearity
    slope_K: Tensor
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
        grad_KBH = part_of_state(grad_final, 0, self.initial_KBH)
        delta_KTBH = torch.empty_like(self.h_KTBH)
        squares = room_for_squares(self.h_KTBH, time_steps, self.blocks.per_job)
        backward_kernel[self.blocks.grid](
            self.h_KTBH,
            delta_KTBH,
            grad_h_KSBH.contiguous(),
            grad_KBH,
            self.parameters["weight_hh"].contiguous(),
            self.slope_K,
            *squares,
            time_steps,
            grad_h_KSBH.shape[1],
            sequences,
            size,
            IS_TANH=self.nonlinearity.is_tanh,
            MEASURE=measure,
            **self.blocks.options,
        )
        hidden_gradients(self.initial_KBH, self.h_KTBH, delta_KTBH, gradients)
        return LayerBackward(
            grad_x_KTBI=input_gradients(
                self.x_KTBI, delta_KTBH, self.parameters, gradients, needs_grad_x=needs_grad_x
            ),
            grad_initial=(grad_KBH,),
            flow=self._flow(norm_over_blocks(squares), delta_KTBH) if measure else None,
        )

    def _flow(self, grad_norm_KT: Tensor, delta_KTBH: Tensor) -> LayerFlow:
        return LayerFlow(
            grad_norm_KT=grad_norm_KT,
            weight_term_norm_KT=weight_term_norm_in_parts(
                self.h_KTBH, delta_KTBH, self.initial_KBH
            ),
            saturation_K=self.nonlinearity.saturation(self.h_KTBH),
            silent_KH=self.nonlinearity.silent(self.h_KTBH),
        )


@kernel
def forward_kernel(
    h_ptr: tl.tensor,
    initial_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    slope_ptr: tl.tensor,
    time_steps: int,
    sequences: int,
    size: int,
    IS_TANH: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Replace W_ih x_t + b of every step by h_t."""
    job = tl.program_id(1).to(tl.int64)  # in 64 bits, so that offsets are
    place, _, inside = places_of_block(sequences, size, 1, ROWS, WIDTH)
    step_size = sequences * size
    weight = tl.trans(load_matrix(weight_ptr + job * size * size, size, WIDTH))
    slope = tl.load(slope_ptr + job)
    h = tl.load(initial_ptr + job * step_size + place, mask=inside, other=0.0)
    for step in tl.range(0, time_steps, num_stages=2):
        here = h_ptr + (job * time_steps + step) * step_size + place
        h = multiply(h, weight, tl.load(here, mask=inside, other=0.0))
        h = tanh(h) if IS_TANH else tl.where(h > 0, h, h * slope)
        tl.store(here, h, mask=inside)


@kernel
def backward_kernel(
    h_ptr: tl.tensor,
    delta_ptr: tl.tensor,
    outside_ptr: tl.tensor,
    grad_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    slope_ptr: tl.tensor,
    scale_ptr: tl.tensor,
    squares_ptr: tl.tensor,
    time_steps: int,
    answered: int,
    sequences: int,
    size: int,
    IS_TANH: tl.constexpr,
    MEASURE: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Write the deltas; `grad` comes in by the last state and goes out by the first."""
    job = tl.program_id(1).to(tl.int64)
    place, _, inside = places_of_block(sequences, size, 1, ROWS, WIDTH)
    step_size = sequences * size
    weight = load_matrix(weight_ptr + job * size * size, size, WIDTH)
    slope = tl.load(slope_ptr + job)
    grad_ptr += job * step_size
    grad = tl.load(grad_ptr + place, mask=inside, other=0.0)
    for back in tl.range(0, time_steps, num_stages=2):
        at = job * time_steps + time_steps - 1 - back
        h = tl.load(h_ptr + at * step_size + place, mask=inside, other=0.0)
        outside = outside_ptr + (job * answered + answered - 1 - back) * step_size + place
        grad += tl.load(outside, mask=tl.where(back < answered, inside, False), other=0.0)
        if MEASURE:
            scale = scale_of(tl.abs(grad))
            block = at * tl.num_programs(0) + tl.program_id(0)
            tl.store(scale_ptr + block, scale)
            tl.store(squares_ptr + block, scaled_squares(grad, scale))
        delta = grad * (1 - h * h) if IS_TANH else tl.where(h > 0, grad, grad * slope)
        tl.store(delta_ptr + at * step_size + place, delta, mask=inside)
        grad = multiply(delta, weight, tl.zeros_like(grad))
    tl.store(grad_ptr + place, grad, mask=inside)
