"""The arithmetic of a row: medians, their ratio, its spread, and the share of the floor."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.row import Target


@dataclass(frozen=True)
class Timing:
    """Milliseconds of a step (or of a job) in each round, by one clock."""

    clock: Literal["cpu", "wall"]
    ours_ms: list[float]
    peer_ms: list[float] | None
    """Of the same rounds; None where there is no peer."""


@dataclass(frozen=True)
class Figures:
    """What a row comes to."""

    ours_ms: float
    """Median over the rounds."""
    peer_ms: float | None
    value: float
    """Of the medians, in the terms of the target: a ratio, or milliseconds."""
    spread: tuple[float, float]
    """First and third quartile of the same over the rounds."""
    missing: float | None
    """Share of the bound by which it is missed; 0 if reached, None if there is no bound."""


def summarise(timing: Timing, target: Target) -> Figures:
    """Medians first, then their ratio: one slow round moves neither."""
    ours_ms = statistics.median(timing.ours_ms)
    peer_ms = None if timing.peer_ms is None else statistics.median(timing.peer_ms)
    value = target.value(ours_ms, peer_ms)
    return Figures(ours_ms, peer_ms, value, _spread(timing, target), target.missing(value))


def floor_share(operations: int, peak: float, ours_ms: float) -> float:
    """Share of a step's time that its matrix products would need at the machine's best.

    Args:
        operations: of one step.
        peak: operations a second.
        ours_ms: of one step.
    """
    return 1e3 * operations / peak / ours_ms


def _spread(timing: Timing, target: Target) -> tuple[float, float]:
    values = [target.value(*times) for times in _rounds(timing)]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def _rounds(timing: Timing) -> Iterator[tuple[float, float | None]]:
    if timing.peer_ms is None:
        return ((ours_ms, None) for ours_ms in timing.ours_ms)
    return zip(timing.ours_ms, timing.peer_ms, strict=True)
