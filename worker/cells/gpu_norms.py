"""Norms of gradients on their way back through time, from inside the kernels for the GPU.

Shapes: K jobs of a pack, T time steps, B sequences, H hidden units, G gates times H, N blocks of
sequences.

A block's squares are summed in float32, which a GPU is fast at, as multiples of the square of the
block's largest number, so that none of them is lost however small the gradient is.
"""

import torch
import triton.language as tl
from torch import Tensor

from worker.cells.gpu_compiled import inlined

# Numbers in the terms of as many steps as are made at once.
_MOST_NUMBERS = 2**26

#: Of each block: the scale its numbers were divided by, and the sum of squares of what was left.
BlockSquares = tuple[Tensor, Tensor]


@inlined
def scale_of(sizes: tl.tensor) -> tl.tensor:
    """The largest of some absolute values; 1 where it is no number to divide by."""
    largest = tl.max(sizes)
    return tl.where((largest > 0) & (largest < float("inf")), largest, 1.0)


@inlined
def scaled_squares(values: tl.tensor, scale: tl.tensor) -> tl.tensor:
    """The sum of the squares of values, divided by that of the scale."""
    scaled = values / scale
    return tl.sum(scaled * scaled)


def room_for_squares(like: Tensor, time_steps: int, blocks: int) -> BlockSquares:
    """Room for what a kernel writes, (K, T, N) each; K, device and dtype are those of `like`."""
    shape = like.shape[0], time_steps, blocks
    return like.new_empty(shape), like.new_empty(shape)


def norm_over_blocks(squares: BlockSquares) -> Tensor:
    """`LayerFlow.grad_norm_KT`: float64 norms over all blocks."""
    scale_KTN, squares_KTN = squares
    norm_KTN = scale_KTN.double() * squares_KTN.double().sqrt()
    norm_KT: Tensor = torch.linalg.vector_norm(norm_KTN, dim=2)
    return norm_KT


def weight_term_norm_in_parts(h_KTBH: Tensor, delta_KTBG: Tensor, initial_KBH: Tensor) -> Tensor:
    """The same as `worker.cells.flow.weight_term_norm`, of many time steps at once."""
    jobs, time_steps, _, size = h_KTBH.shape
    before_KTBH = torch.cat([initial_KBH.unsqueeze(1), h_KTBH[:, :-1]], dim=1)
    steps = max(1, _MOST_NUMBERS // (jobs * size * delta_KTBG.shape[3]))
    parts = [slice(first, first + steps) for first in range(0, time_steps, steps)]
    return torch.cat(
        [_term_norms(before_KTBH[:, part], delta_KTBG[:, part]) for part in parts], dim=1
    )


def _term_norms(before_KTBH: Tensor, delta_KTBG: Tensor) -> Tensor:
    term_NGH = torch.bmm(delta_KTBG.flatten(0, 1).transpose(1, 2), before_KTBH.flatten(0, 1))
    norm_N: Tensor = torch.linalg.vector_norm(term_NGH, dim=(1, 2), dtype=torch.float64)
    return norm_N.view(before_KTBH.shape[:2])
