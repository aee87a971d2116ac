"""One line of the table: what is measured against what, how long, and what it should reach."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from benchmarks.work import Work

Peer = Literal["torch", "skip-loop", "jax", "lightning", "keras-jax", "keras-torch", "unmeasured"]
"""The other side; `unmeasured` is our own trainer without a record of the gradient's flow."""


class Measure(StrEnum):
    """What a target speaks of."""

    SPEED_UP = "speed-up"  #: the peer's time over ours: at least
    COST = "cost"  #: our time over the peer's: at most
    TIME = "time"  #: our time in milliseconds: at most


@dataclass(frozen=True)
class Target:
    """What a row should reach."""

    measure: Measure
    bound: float | None = None
    """At least for a speed-up, at most for the others; None: for information only."""

    def value(self, ours_ms: float, peer_ms: float | None) -> float:
        """The figure that is held against the bound.

        Args:
            ours_ms: our time.
            peer_ms: the peer's; None where only our time counts.
        """
        if peer_ms is None:
            return ours_ms
        return peer_ms / ours_ms if self.measure is Measure.SPEED_UP else ours_ms / peer_ms

    def missing(self, value: float) -> float | None:
        """Share of the bound that a value falls short of, or exceeds, it by; 0 if it is reached.

        None without a bound.
        """
        if self.bound is None:
            return None
        relative = value / self.bound - 1
        return max(0.0, -relative if self.measure is Measure.SPEED_UP else relative)


@dataclass(frozen=True)
class Plan:
    """How often a row is measured."""

    warm_up: int = 20
    """Steps of each side before anything counts."""
    rounds: int = 30
    block: int = 10
    """Steps of each side in a round, one after another."""


@dataclass(frozen=True)
class TrainingRow:
    """Steps of our trainer against steps of a peer, interleaved in one process."""

    name: str
    work: Work
    peer: Peer
    target: Target
    plan: Plan = Plan()


@dataclass(frozen=True)
class ServiceRow:
    """Something that is measured through a running service."""

    name: str
    measured_by: Literal["cold_start", "first_step"]
    target: Target


Row = TrainingRow | ServiceRow
