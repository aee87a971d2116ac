"""How the kernels for the CPU are compiled: by Numba, at their first use, kept on disk.

The functions are ordinary Python when Numba is switched off (`NUMBA_DISABLE_JIT=1`), which is how
their lines can be stepped through.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])

# "numpy": the default checks every division for zero, and so keeps loops from being vectorised.
# fastmath without "nnan" and "ninf": a value that is not finite must stay one.
_OPTIONS = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz"},
}


def compiled(function: Function) -> Function:
    """Compile for the types of the first call."""
    return cast("Function", njit(**_OPTIONS)(function))


def inlined(function: Function) -> Function:
    """Compile into each caller: for what stands inside a loop that is to be vectorised."""
    return cast("Function", njit(inline="always", **_OPTIONS)(function))
