"""Two sides measured in turn, block by block, so that a busy machine is busy for both."""

import math
import time

from benchmarks.figures import Timing
from benchmarks.row import Plan
from benchmarks.sides.side import Side

# float32 over a hundred time steps, summed in another order.
_SAME_LOSS = 1e-3


class UnequalWorkError(Exception):
    """The sides do not do the same work, or one of them does not train."""


def measure(ours: Side, peer: Side, plan: Plan) -> tuple[Timing, Timing]:
    """Time both sides in blocks of steps.

    Who goes first changes with every round. Time is of the whole process, all its threads.

    Returns:
        By CPU time, and by wall time.

    Raises:
        UnequalWorkError: the first losses differ, or a side's last loss is not below its first.
    """
    sides = (ours, peer)
    first = [side.run(1) for side in sides]
    _check_same_start(*first)
    for side in sides:
        side.run(plan.warm_up)
    blocks = [_round(sides, plan.block, number) for number in range(plan.rounds)]
    _check_trained(first, [side.run(1) for side in sides])
    cpu, wall = (
        [[1e3 * block[side][clock] / plan.block for block in blocks] for side in (0, 1)]
        for clock in (0, 1)
    )
    return Timing("cpu", *cpu), Timing("wall", *wall)


def _round(
    sides: tuple[Side, Side], steps: int, number: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """CPU and wall seconds of ours, and of the peer."""
    if number % 2:
        peer = _block(sides[1], steps)
        return _block(sides[0], steps), peer
    return _block(sides[0], steps), _block(sides[1], steps)


def _block(side: Side, steps: int) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    side.run(steps)
    return time.process_time() - cpu, time.perf_counter() - wall


def _check_same_start(ours: float, peer: float) -> None:
    if not math.isclose(ours, peer, rel_tol=_SAME_LOSS):
        raise UnequalWorkError(f"the first losses differ: ours {ours:.6g}, the peer's {peer:.6g}")


def _check_trained(first: list[float], last: list[float]) -> None:
    for name, before, after in zip(("our side", "the peer"), first, last, strict=True):
        if not after < before:
            raise UnequalWorkError(f"{name} does not train: loss {before:.6g}, then {after:.6g}")
