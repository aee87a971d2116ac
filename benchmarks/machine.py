"""What the figures were measured on."""

import importlib.metadata
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

_LIBRARIES = ("torch", "numpy", "numba", "jax", "jaxlib", "lightning", "keras")
_CPU_INFO = Path("/proc/cpuinfo")
# What vectorised kernels and matrix products are compiled for.
_VECTOR_FLAG = re.compile(r"(avx|fma|amx|sse4|neon|asimd|sve)\w*")


@dataclass(frozen=True)
class Machine:
    """A machine, and how busy it was."""

    cpu: str
    vector_flags: list[str]
    cores: int
    load: tuple[float, float, float]
    """Mean number of running processes over the last 1, 5 and 15 minutes."""
    system: str
    python: str
    versions: dict[str, str | None]
    """None: not installed."""
    threads: int
    """Of each side."""


def describe(threads: int) -> Machine:
    """Describe this machine as it is now."""
    cpu_info = _CPU_INFO.read_text() if _CPU_INFO.exists() else ""
    return Machine(
        cpu=_field(cpu_info, "model name") or platform.processor() or platform.machine(),
        vector_flags=_vector_flags(_field(cpu_info, "flags") or _field(cpu_info, "Features")),
        cores=os.cpu_count() or 1,
        load=os.getloadavg(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions={library: _version(library) for library in _LIBRARIES},
        threads=threads,
    )


def _field(cpu_info: str, name: str) -> str:
    found = re.search(rf"^{name}\s*: (.*)$", cpu_info, re.MULTILINE)
    return found[1] if found else ""


def _vector_flags(flags: str) -> list[str]:
    return sorted(flag for flag in flags.split() if _VECTOR_FLAG.fullmatch(flag))


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None
