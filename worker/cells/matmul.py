"""Matrix products into memory that is there already, for use inside compiled kernels.

Shapes: M x N results over an inner dimension of Q. All are float32 with contiguous rows, which may
be further apart than they are long (a part of the columns of a larger matrix).

`numpy.dot` compiles to the same BLAS, but can neither add to its result nor take a part of the
columns. The routine is the one that Numba itself calls, SciPy's; it runs on one thread.
"""

from typing import Any

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401 - where Numba looks for BLAS
from numba import types
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from worker.cells.compiled import compiled, inlined

Floats = NDArray[np.float32]

_POINTER = types.CPointer(types.float32)  # type: ignore[no-untyped-call]
_SIZE = types.intp
_SIGNATURE = types.intc(
    *(types.char, types.char, types.char),  # kind of number, whether either factor is transposed
    *(_SIZE, _SIZE, _SIZE),  # columns, rows, inner dimension
    *(_POINTER, _POINTER, _SIZE, _POINTER, _SIZE),  # scale, right factor, left factor
    *(_POINTER, _POINTER, _SIZE),  # what the old result is multiplied by, result
)
_gemm: Any = types.ExternalFunction("numba_xxgemm", _SIGNATURE)
# Products this small lose by being shared among threads, and their bits would depend on how many.
threadpool_limits(limits=1, user_api="blas")

_FLOAT32, _PLAIN, _TRANSPOSED = ord("s"), ord("n"), ord("t")
_BYTES = 4
# BLAS takes its scalars by address.
_ONE, _ZERO = np.ones(1, np.float32), np.zeros(1, np.float32)


@inlined
def _row_step(matrix: Floats) -> int:
    """How far apart rows are, in numbers."""
    # Of a single row it may be anything, but BLAS refuses less than the row's length.
    return int(max(matrix.strides[0] // _BYTES, matrix.shape[1]))


@compiled
def multiply(left_MQ: Floats, right_QN: Floats, result_MN: Floats, keep: bool) -> None:
    """Result = left right, added to what is there if `keep`."""
    old = _ONE if keep else _ZERO
    _gemm(
        *(_FLOAT32, _PLAIN, _PLAIN),
        *(right_QN.shape[1], left_MQ.shape[0], left_MQ.shape[1]),
        *(_ONE.ctypes, right_QN.ctypes, _row_step(right_QN)),
        *(left_MQ.ctypes, _row_step(left_MQ)),
        *(old.ctypes, result_MN.ctypes, _row_step(result_MN)),
    )


@compiled
def multiply_left_transposed(
    left_QM: Floats, right_QN: Floats, result_MN: Floats, keep: bool
) -> None:
    """Result = left^T right, added to what is there if `keep`."""
    old = _ONE if keep else _ZERO
    _gemm(
        *(_FLOAT32, _PLAIN, _TRANSPOSED),
        *(right_QN.shape[1], left_QM.shape[1], left_QM.shape[0]),
        *(_ONE.ctypes, right_QN.ctypes, _row_step(right_QN)),
        *(left_QM.ctypes, _row_step(left_QM)),
        *(old.ctypes, result_MN.ctypes, _row_step(result_MN)),
    )


@compiled
def multiply_right_transposed(
    left_MQ: Floats, right_NQ: Floats, result_MN: Floats, keep: bool
) -> None:
    """Result = left right^T, added to what is there if `keep`."""
    old = _ONE if keep else _ZERO
    _gemm(
        *(_FLOAT32, _TRANSPOSED, _PLAIN),
        *(right_NQ.shape[0], left_MQ.shape[0], left_MQ.shape[1]),
        *(_ONE.ctypes, right_NQ.ctypes, _row_step(right_NQ)),
        *(left_MQ.ctypes, _row_step(left_MQ)),
        *(old.ctypes, result_MN.ctypes, _row_step(result_MN)),
    )
