"""How the kernels for the CPU are compiled: by Numba, at their first use, kept on disk.

The functions are ordinary Python when Numba is switched off (`NUMBA_DISABLE_JIT=1`), but for the
matrix products. Where no folder can be written to every start compiles them anew.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numba
from numba import njit

from worker.cells.kernel_folder import find_kernel_folder

Function = TypeVar("Function", bound=Callable[..., Any])

# Without "nnan" and "ninf": a value that is not finite must stay one.
_FASTMATH: Final = {"reassoc", "contract", "nsz"}
KERNEL_FOLDER: Final = find_kernel_folder(Path(__file__).parents[1])
_IS_KEPT: Final = KERNEL_FOLDER is not None
# Numba makes this variable when it is loaded, which no type checker sees.
numba.config.CACHE_DIR = str(KERNEL_FOLDER or "")  # type: ignore[attr-defined]


def compiled(function: Function) -> Function:
    """Compile for the types of the first call, with sums in whatever order is fastest."""
    # By default every division is checked for zero, which keeps loops from being vectorised.
    make = njit(cache=_IS_KEPT, nogil=True, error_model="numpy", fastmath=_FASTMATH)
    return cast("Function", make(function))


def inlined(function: Function) -> Function:
    """Compile into each caller: for what stands inside a loop that is to be vectorised."""
    make = njit(inline="always", nogil=True, error_model="numpy", fastmath=_FASTMATH)
    return cast("Function", make(function))


def compiled_exactly(function: Function) -> Function:
    """Compile with every operation rounded by itself and in the order written."""
    return cast("Function", njit(cache=_IS_KEPT, nogil=True, error_model="numpy")(function))
