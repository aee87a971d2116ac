"""What the kernels for the GPU compute on a block of sequences.

Shapes: B sequences, H hidden units, R sequences of a block, C its columns: H of them and then
zeros, which stay zeros through every cell's equations.

A tensor stands left of every constant: Triton's interpreter wants it so.
"""

import triton.language as tl

from worker.cells.gpu_compiled import inlined

_TANH_LIMIT = tl.constexpr(7.90531110763549805)


@inlined
def places_of_block(
    sequences: int, size: int, gates: int, ROWS: tl.constexpr, WIDTH: tl.constexpr
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Where a program's block lies within (B, H), and its first gate within (B, gates * H).

    Returns:
        Both as offsets (R, C), and which of them are inside.
    """
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    columns = tl.arange(0, WIDTH)[None, :]
    inside = (rows < sequences) & (columns < size)
    return rows * size + columns, rows * (gates * size) + columns, inside


@inlined
def load_matrix(matrix_ptr: tl.tensor, size: int, WIDTH: tl.constexpr) -> tl.tensor:
    """A matrix (H, H) as a block (C, C)."""
    rows = tl.arange(0, WIDTH)[:, None]
    columns = tl.arange(0, WIDTH)[None, :]
    inside = (rows < size) & (columns < size)
    return tl.load(matrix_ptr + rows * size + columns, mask=inside, other=0.0)


@inlined
def multiply(left: tl.tensor, right: tl.tensor, addend: tl.tensor) -> tl.tensor:
    """Left times right plus the addend.

    Tensor cores know no float32; three products of its halves in TF32 come to nearly the same.
    """
    return tl.dot(left, right, acc=addend, input_precision="tf32x3")


@inlined
def tanh(x: tl.tensor) -> tl.tensor:
    """The same rational function as `worker.cells.elementwise.tanh`, on the CPU."""
    # Compared so that nan passes: minimum() and maximum() would turn it into a limit.
    x = tl.where(x < -_TANH_LIMIT, -_TANH_LIMIT, x)
    x = tl.where(x > _TANH_LIMIT, _TANH_LIMIT, x)
    y = x * x
    odd = y * -2.76076847742355e-16 + 2.00018790482477e-13
    odd = odd * y - 8.60467152213735e-11
    odd = odd * y + 5.12229709037114e-08
    odd = odd * y + 1.48572235717979e-05
    odd = odd * y + 6.37261928875436e-04
    odd = odd * y + 4.89352455891786e-03
    even = y * 1.19825839466702e-06 + 1.18534705686654e-04
    even = even * y + 2.26843463243900e-03
    even = even * y + 4.89352518554385e-03
    return odd * x / even


@inlined
def sigmoid(x: tl.tensor) -> tl.tensor:
    """The logistic function, as (1 + tanh(x/2)) / 2."""
    return tanh(x * 0.5) * 0.5 + 0.5
