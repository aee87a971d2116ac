"""How the kernels for the GPU are compiled: by Triton, at their first use, kept on disk.

Under `TRITON_INTERPRET=1` the same functions run in Triton's interpreter, on tensors of the CPU.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import triton

Function = TypeVar("Function", bound=Callable[..., Any])

#: How many programs run: blocks of sequences, and jobs.
Grid = tuple[int, int]


class Kernel(Protocol):
    """A function that runs once for each place of a grid."""

    def __getitem__(self, grid: Grid) -> Callable[..., object]:
        """The kernel on that grid: to be called with its arguments, and `num_warps`."""


def kernel(function: Callable[..., None]) -> Kernel:
    """Compile for the types of the arguments, and for what the sizes are divisible by."""
    # These two change from call to call, and divisible or not makes no faster code.
    make = triton.jit(do_not_specialize=["time_steps", "answered"])
    return cast("Kernel", make(function))


def inlined(function: Function) -> Function:
    """Compile into each kernel that calls it."""
    return cast("Function", triton.jit(function))
