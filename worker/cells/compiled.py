"""How the kernels for the CPU are compiled: by Numba, at their first use, kept on disk.

What is kept on disk is renewed when a function's own file changes, not when one does from which it
calls: after such a change remove `*.nbi` from `worker`.

The functions are ordinary Python when Numba is switched off (`NUMBA_DISABLE_JIT=1`), but for the
matrix products.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])

# Without "nnan" and "ninf": a value that is not finite must stay one.
_FASTMATH: Final = {"reassoc", "contract", "nsz"}


def compiled(function: Function) -> Function:
    """Compile for the types of the first call, with sums in whatever order is fastest."""
    # By default every division is checked for zero, which keeps loops from being vectorised.
    make = njit(cache=True, nogil=True, error_model="numpy", fastmath=_FASTMATH)
    return cast("Function", make(function))


def inlined(function: Function) -> Function:
    """Compile into each caller: for what stands inside a loop that is to be vectorised."""
    make = njit(inline="always", nogil=True, error_model="numpy", fastmath=_FASTMATH)
    return cast("Function", make(function))


def compiled_exactly(function: Function) -> Function:
    """Compile with every operation rounded by itself and in the order written."""
    return cast("Function", njit(cache=True, nogil=True, error_model="numpy")(function))
