import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from benchmarks.interleaving import UnequalWorkError, measure
from benchmarks.row import Plan

PLAN = Plan(warm_up=3, rounds=4, block=2)


@dataclass
class Counter:
    """A side that only counts its steps, and whose loss is a function of them."""

    name: str
    loss: Callable[[int], float] = lambda step: 1 / step
    calls: list[tuple[str, int]] = field(default_factory=list)
    step: int = 0

    def run(self, steps: int) -> float:
        """Count the steps and note the call."""
        self.calls.append((self.name, steps))
        self.step += steps
        return self.loss(self.step)


def test_sides_take_turns_in_blocks() -> None:
    """Both sides do the same blocks, and who goes first changes with every round."""
    calls: list[tuple[str, int]] = []

    measure(Counter("ours", calls=calls), Counter("peer", calls=calls), PLAN)

    first, warm_up, rounds, last = calls[:2], calls[2:4], calls[4:-2], calls[-2:]
    assert first == last == [("ours", 1), ("peer", 1)]
    assert warm_up == [("ours", 3), ("peer", 3)]
    assert rounds == [("ours", 2), ("peer", 2), ("peer", 2), ("ours", 2)] * 2


def test_every_round_has_its_time_on_both_clocks() -> None:
    """Each timing has one figure a round and a side, and none is negative."""
    timings = measure(Counter("ours"), Counter("peer"), PLAN)

    assert [timing.clock for timing in timings] == ["cpu", "wall"]
    for timing in timings:
        assert timing.peer_ms is not None
        assert len(timing.ours_ms) == len(timing.peer_ms) == PLAN.rounds
        assert min(timing.ours_ms + timing.peer_ms) >= 0


def test_sides_that_start_apart_are_not_compared() -> None:
    """Another first loss means other weights, other data or another network."""
    with pytest.raises(UnequalWorkError, match="first losses differ"):
        measure(Counter("ours"), Counter("peer", lambda step: 1.01 / step), PLAN)


@pytest.mark.parametrize(
    "loss", [lambda _: 1.0, lambda step: step, lambda step: 1 if step < 2 else math.nan]
)
def test_side_that_does_not_train_is_not_compared(loss: Callable[[int], float]) -> None:
    """A loss that stays, rises or is lost is no training, however fast."""
    with pytest.raises(UnequalWorkError, match="the peer does not train"):
        measure(Counter("ours"), Counter("peer", loss), PLAN)
