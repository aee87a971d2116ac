"""What the kernels for the GPU compute on blocks, and how a layer is cut into them.

Shapes: K jobs of a pack, T time steps, B sequences, H hidden units, R sequences of a block, C its
columns: H and zeros behind them.

Sequences do not meet in a recurrence, nor do jobs. So one program takes R sequences of one job
through all time steps, its states and the weights in registers all the way.
"""

from dataclasses import dataclass

import triton
import triton.language as tl

from worker.cells.gpu_compiled import Grid, inlined

# Rows of a tensor core's product; a pack of 64 jobs of 32 sequences makes 128 programs of them.
_ROWS = 16
# Weights that a thread holds, of a kernel's budget of 255 registers.
_WEIGHTS_PER_THREAD = 64
_MOST_WARPS, _FEWEST_WARPS, _THREADS_PER_WARP = 16, 4, 32


@dataclass(frozen=True)
class Blocks:
    """How a layer is cut.

    Args:
        jobs: K.
        sequences: B.
        hidden_size: H.
        gates: matrices (H, H) that a step multiplies by.
    """

    jobs: int
    sequences: int
    hidden_size: int
    gates: int

    @property
    def width(self) -> int:
        """C: a power of two, and no fewer than a product needs."""
        return max(16, triton.next_power_of_2(self.hidden_size))

    @property
    def per_job(self) -> int:
        """Blocks of a job's sequences."""
        return triton.cdiv(self.sequences, _ROWS)

    @property
    def grid(self) -> Grid:
        """One program a block and job."""
        return self.per_job, self.jobs

    @property
    def options(self) -> dict[str, int]:
        """The compiled constants that every kernel takes, and its warps."""
        return {"ROWS": _ROWS, "WIDTH": self.width, "num_warps": self._num_warps}

    @property
    def fits(self) -> bool:
        """Whether the weights find place in a program's registers."""
        return self._wanted_warps <= _MOST_WARPS

    @property
    def _wanted_warps(self) -> int:
        weights = self.gates * self.width * self.width
        return triton.cdiv(weights, _WEIGHTS_PER_THREAD * _THREADS_PER_WARP)

    @property
    def _num_warps(self) -> int:
        return min(_MOST_WARPS, max(_FEWEST_WARPS, self._wanted_warps))


@inlined
def tanh(x: tl.tensor) -> tl.tensor:
    """The rational function that the kernels for the CPU have: `worker.cells.elementwise.tanh`.

    A tensor stands left of every constant: the interpreter wants it so.
    """
    # Compared so that nan passes: minimum() and maximum() would turn it into a limit.
    x = tl.where(x < -7.90531110763549805, -7.90531110763549805, x)
    x = tl.where(x > 7.90531110763549805, 7.90531110763549805, x)
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


@inlined
def multiply(left: tl.tensor, right: tl.tensor, addend: tl.tensor) -> tl.tensor:
    """Left times right plus the addend, to float32's precision.

    Tensor cores know no float32; three products of its halves in TF32 come to nearly the same.
    """
    return tl.dot(left, right, acc=addend, input_precision="tf32x3")


@inlined
def load_matrix(matrix_ptr: tl.tensor, size: int, WIDTH: tl.constexpr) -> tl.tensor:
    """A matrix (H, H) as a block (C, C)."""
    rows = tl.arange(0, WIDTH)[:, None]
    columns = tl.arange(0, WIDTH)[None, :]
    inside = (rows < size) & (columns < size)
    return tl.load(matrix_ptr + rows * size + columns, mask=inside, other=0.0)
