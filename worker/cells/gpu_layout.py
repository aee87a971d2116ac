"""How a layer is cut into programs on the GPU, and how much each keeps on the chip.

Shapes: K jobs of a pack, B sequences, H hidden units, R sequences of a block, C its columns: H of
them and then zeros.

Sequences do not meet in a recurrence, nor do jobs. So one program takes R sequences of one job
through all time steps; the weights and the state of the recurrence never leave the chip.
"""

from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from worker.cells.cell import State
from worker.cells.gpu_compiled import Grid

# Rows of a tensor core's product; a pack of 64 jobs of 32 sequences makes 128 programs.
_ROWS = 16
_FLOAT_BYTES = 4
# A product of float32 is made of halves, high and low; both sides lie on the chip as two.
_HALVES = 2
_FEW_WARPS, _MANY_WARPS, _WIDTH_OF_FEW = 4, 8, 32


@dataclass(frozen=True)
class Blocks:
    """How the sequences of a pack are cut."""

    jobs: int
    sequences: int
    hidden_size: int

    @property
    def per_job(self) -> int:
        """Blocks of a job's sequences."""
        return -(-self.sequences // _ROWS)

    @property
    def grid(self) -> Grid:
        """One program a block and job."""
        return self.per_job, self.jobs

    @property
    def options(self) -> dict[str, int]:
        """What every kernel is compiled for: R, C, and the warps that share a program."""
        width = _width(self.hidden_size)
        # With more warps a thread has too few registers, with fewer too many numbers in them.
        warps = _FEW_WARPS if width <= _WIDTH_OF_FEW else _MANY_WARPS
        return {"ROWS": _ROWS, "WIDTH": width, "num_warps": warps}


def bytes_on_chip(hidden_size: int, *, gates: int, loaded: int) -> int:
    """Most shared memory that a program of a cell takes.

    Args:
        hidden_size: H.
        gates: weight matrices (H, H) that a step multiplies by.
        loaded: blocks (R, C) that a step of the backward pass reads; they come one step ahead.
    """
    width = _width(hidden_size)
    weights = _HALVES * gates * width * width
    return _FLOAT_BYTES * (weights + (loaded + _HALVES) * _ROWS * width)


def part_of_state(state: State | None, part: int, like_KBH: Tensor) -> Tensor:
    """A part of a state, or of a gradient by it, as a new tensor (K, B, H); zeros if it is None."""
    copy_KBH = torch.zeros_like(like_KBH, memory_format=torch.contiguous_format)
    return copy_KBH if state is None else copy_KBH.copy_(state[part])


def _width(hidden_size: int) -> int:
    """C: a power of two, and no fewer than a product needs."""
    return max(16, int(triton.next_power_of_2(hidden_size)))
