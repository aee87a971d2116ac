"""The arithmetic floor: how long the matrix products of a step would take at the machine's best.

Shapes: B sequences, T time steps, I inputs, H hidden units, O outputs, G gates times H.
"""

import time

import torch

from benchmarks.work import GATES, INPUT_SIZE, OUTPUT_SIZE, Work

_SIZE = 1024
_REPEATS = 10
# Forward, and backward once for the input's gradient and once for the weights'.
_RECURRENT_PRODUCTS = 3
_READOUT_PRODUCTS = 3
# Nobody asks for the gradient of the data.
_INPUT_PRODUCTS = 2


def operations(work: Work) -> int:
    """Floating-point operations of the matrix products of one step, all jobs together.

    A multiplication and an addition are two. A skip gate's products are counted, too.
    """
    rows = work.batch_size * work.seq_len
    gates = GATES[work.cell] * work.hidden_size
    multiplied = (
        _RECURRENT_PRODUCTS * rows * work.hidden_size * gates
        + _INPUT_PRODUCTS * rows * INPUT_SIZE * gates
        + _READOUT_PRODUCTS * work.batch_size * work.hidden_size * OUTPUT_SIZE
    )
    if work.skip:
        multiplied += _RECURRENT_PRODUCTS * rows * work.hidden_size
    return 2 * multiplied * work.jobs


def measure_peak() -> float:
    """Operations a CPU second in a large float32 matrix product on one thread, the best of ten."""
    left, right = torch.rand(_SIZE, _SIZE), torch.rand(_SIZE, _SIZE)
    left @ right
    return max(2 * _SIZE**3 / _seconds(left, right) for _ in range(_REPEATS))


def _seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    started = time.process_time()
    left @ right
    return time.process_time() - started
