"""Norms of gradients on their way back through time, from inside the kernels for the GPU.

Shapes: K jobs of a pack, T time steps, N blocks of sequences.

A block's squares are summed in float32, which a GPU is fast at, as multiples of the square of the
block's largest number, so that none of them is lost however small the gradient is.
"""

import torch
import triton.language as tl
from torch import Tensor

from worker.cells.gpu_compiled import inlined

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
