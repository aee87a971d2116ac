"""The learning rate range test on losses written down by hand."""

import json
import math

import numpy as np
import pytest

from contract.spec import RangeTest
from worker.remedies.lr_control import LrController, Verdict, make_lr_control
from worker.training.records import Event

UNSMOOTHED = RangeTest(kind="range_test", smoothing=1.0)


def _tell(controller: LrController, losses: list[float]) -> list[Verdict | None]:
    return [
        controller.observe_step(step, loss, 1.0, updated=True)
        for step, loss in enumerate(losses, start=1)
    ]


def _falling(steepest_step: int, num_steps: int) -> list[float]:
    """Losses that fall as a smooth step, most steeply at one of the steps."""
    return [2 - math.tanh((step - steepest_step) / 5) for step in range(1, num_steps + 1)]


def test_lr_rises_by_the_same_factor_from_start_to_end() -> None:
    """Over 8 steps from 1e-6 to 10 every step has ten times the lr of the one before."""
    controller = make_lr_control(RangeTest(kind="range_test"), 0.5, 8)
    lrs = [controller.lr(step) for step in range(1, 9)]
    assert lrs == pytest.approx([10.0**power for power in range(-6, 2)], rel=1e-12)


def test_a_single_step_has_the_start_lr() -> None:
    """Of a test of one step only the start is tried."""
    assert make_lr_control(RangeTest(kind="range_test"), 0.5, 1).lr(1) == 1e-6


def test_the_lr_of_the_steepest_descent_is_suggested_at_the_end() -> None:
    """Where numpy's gradient of the losses is smallest, there lies the suggestion."""
    losses = _falling(40, 60)
    controller = make_lr_control(UNSMOOTHED, 0.5, 60)
    assert _tell(controller, losses) == [None] * 60
    steepest = int(np.gradient(losses).argmin()) + 1
    assert steepest == 40
    assert controller.take_events() == [
        Event(
            60,
            "lr_suggested",
            {"end": "max_steps", "steepest_step": 40, "lr": controller.lr(40)},
        )
    ]


def test_smoothing_is_an_exponential_mean_that_starts_at_the_first_loss() -> None:
    """With smoothing the steepest descent is that of s = 0.3*loss + 0.7*s, s_1 = loss_1.

    The lr suggested is that of 0.7/0.3 = 2 steps before, as old as the losses in s are.
    """
    losses = _falling(30, 60)
    smoothed = losses[:1]
    for loss in losses[1:]:
        smoothed.append(0.3 * loss + 0.7 * smoothed[-1])
    controller = make_lr_control(RangeTest(kind="range_test", smoothing=0.3), 0.5, 60)
    _tell(controller, losses)
    (event,) = controller.take_events()
    steepest = int(np.gradient(smoothed).argmin()) + 1
    assert event.detail["steepest_step"] == steepest
    assert event.detail["lr"] == controller.lr(steepest - 2)


def test_divergence_ends_the_test() -> None:
    """The first smoothed loss above 4 times its best stops the training, with a suggestion."""
    losses = [*_falling(20, 40), 3.9, 4.1]
    controller = make_lr_control(UNSMOOTHED, 0.5, 100)
    best = min(losses)
    assert 3.9 < 4 * best < 4.1
    assert _tell(controller, losses) == [*[None] * 41, Verdict.STOP]
    (event,) = controller.take_events()
    assert (event.step, event.detail["end"], event.detail["steepest_step"]) == (42, "diverged", 20)


@pytest.mark.parametrize(
    ("loss", "updated"), [(math.nan, False), (math.inf, False), (math.nan, True), (1.0, False)]
)
def test_a_broken_step_ends_the_test(loss: float, updated: bool) -> None:  # noqa: FBT001 - a case
    """A loss that is not finite, or an update that was refused, is divergence."""
    controller = make_lr_control(UNSMOOTHED, 0.5, 100)
    assert controller.observe_step(1, 1.0, 1.0, updated=True) is None
    assert controller.observe_step(2, loss, math.inf, updated=updated) is Verdict.STOP
    assert controller.take_events() == [Event(2, "lr_suggested", {"end": "diverged"})]


def test_nothing_is_suggested_if_the_loss_never_fell() -> None:
    """A loss that stands still and then rises suggests no lr."""
    controller = make_lr_control(UNSMOOTHED, 0.5, 30)
    _tell(controller, [1.0] * 20 + [1.1] * 10)
    assert controller.take_events() == [Event(30, "lr_suggested", {"end": "max_steps"})]


def test_the_first_ten_steps_suggest_nothing() -> None:
    """A fall within the first ten steps is the start's, not that of an lr."""
    controller = make_lr_control(UNSMOOTHED, 0.5, 30)
    _tell(controller, [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 4.0, 4.0, 4.0] + [4.0] * 11 + [3.9] * 10)
    (event,) = controller.take_events()
    assert event.detail["steepest_step"] == 20


def test_it_goes_on_from_its_state() -> None:
    """A test restored in the middle, through JSON, ends with the same suggestion."""
    losses = _falling(40, 60)
    whole, halved = (make_lr_control(UNSMOOTHED, 0.5, 60) for _ in range(2))
    _tell(whole, losses)
    _tell(halved, losses[:39])
    resumed = make_lr_control(UNSMOOTHED, 0.5, 60)
    resumed.restore(json.loads(json.dumps(halved.state(), allow_nan=False)))
    for step in range(40, 61):
        resumed.observe_step(step, losses[step - 1], 1.0, updated=True)
    assert resumed.take_events() == whole.take_events()
