"""Compile all kernels for a GPU that need not be there; prints JSON.

For each cell of `HIDDEN_SIZES`, the most shared memory in bytes that one of its kernels takes.
"""

import json
import sys
from collections.abc import Iterator
from importlib import import_module

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from worker.cells.gpu_layout import Blocks

HIDDEN_SIZES = {"rnn": 64, "gru": 32, "lstm": 32}

# An A100, the oldest that they are meant for.
_TARGET = GPUTarget("cuda", 80, 32)
# As for large packs, and with all that can be 1 being 1: Triton makes a constant of it.
_VARIANTS: list[dict[str, int]] = [
    {"IS_TANH": True, "MEASURE": True},
    {"IS_TANH": False, "MEASURE": False, "sequences": 1, "size": 1},
]


def main() -> None:
    """Compile both kernels of each cell."""
    taken = {kind: max(_compile_all(kind, size)) for kind, size in HIDDEN_SIZES.items()}
    sys.stdout.write(json.dumps(taken))


def _compile_all(kind: str, hidden_size: int) -> list[int]:
    module = import_module(f"worker.cells.{kind}.gpu")
    options = Blocks(1, 1, hidden_size).options
    warps = options.pop("num_warps")
    kernels = (module.forward_kernel, module.backward_kernel)
    return [_compile(kernel, options | known, warps) for kernel in kernels for known in _VARIANTS]


def _compile(kernel: triton.JITFunction, known: dict[str, int], warps: int) -> int:
    constants = {name: known[name] for name in kernel.arg_names if name in known}
    signature = dict(_signature(kernel.arg_names, constants))
    source = ASTSource(kernel, signature, constexprs=constants)
    compiled = triton.compile(source, target=_TARGET, options={"num_warps": warps})
    return int(compiled.metadata.shared)


def _signature(names: list[str], constants: dict[str, int]) -> Iterator[tuple[str, str]]:
    for name in names:
        if name in constants:
            yield name, "constexpr"
        else:
            yield name, "*fp32" if name.endswith("_ptr") else "i32"


if __name__ == "__main__":
    main()
