"""Learning rates written out step by step, and compared with torch.optim.lr_scheduler."""

import json

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LRScheduler,
    OneCycleLR,
    ReduceLROnPlateau,
    StepLR,
)

from contract.spec import Constant, Cosine, Exponential, LrControl, OneCycle, Plateau, Step
from worker.remedies.lr_control import make_lr_control
from worker.training.records import Event


def _lrs(control: LrControl | None, lr: float, max_steps: int) -> list[float]:
    controller = make_lr_control(control, lr, max_steps)
    return [controller.lr(step) for step in range(1, max_steps + 1)]


def _torch_sgd(lr: float) -> torch.optim.SGD:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)


def _torch_lrs(scheduler: LRScheduler, max_steps: int) -> list[float]:
    lrs = []
    for _ in range(max_steps):
        lrs.append(float(scheduler.optimizer.param_groups[0]["lr"]))
        scheduler.optimizer.step()
        scheduler.step()
    return lrs


@pytest.mark.parametrize("control", [None, Constant(kind="constant")])
def test_constant_is_the_same_at_every_step(control: LrControl | None) -> None:
    """No control, and the constant one, never move lr."""
    assert _lrs(control, 0.3, 4) == [0.3, 0.3, 0.3, 0.3]


def test_step_cuts_after_every_few_steps() -> None:
    """With every=2 and factor=1/2, lr halves at steps 3 and 5."""
    assert _lrs(Step(kind="step", every=2, factor=0.5), 0.8, 5) == [0.8, 0.8, 0.4, 0.4, 0.2]


def test_exponential_decays_after_every_step() -> None:
    """With decay=1/2, lr halves at every step from the second on."""
    assert _lrs(Exponential(kind="exponential", decay=0.5), 0.8, 4) == [0.8, 0.4, 0.2, 0.1]


def test_cosine_warms_up_then_falls_to_its_floor() -> None:
    """Warm-up reaches lr at its last step; half a cosine ends at min_lr_factor at max_steps."""
    control = Cosine(kind="cosine", warmup_steps=4, min_lr_factor=0.2)
    # From step 4 to 8 the cosine's mean, 0.6, is passed at step 6.
    quarter = 0.6 + 0.4 * 0.5**0.5
    three_quarters = 0.6 - 0.4 * 0.5**0.5
    expected = [0.25, 0.5, 0.75, 1.0, quarter, 0.6, three_quarters, 0.2]
    assert _lrs(control, 1.0, 8) == pytest.approx(expected, rel=1e-12)


def test_cosine_without_warm_up_starts_at_full_lr() -> None:
    """Step 1 has the whole lr and the last step the floor."""
    assert _lrs(Cosine(kind="cosine"), 2.0, 3) == pytest.approx([2.0, 1.0, 0.0], abs=1e-15)


@pytest.mark.parametrize("warmup_steps", [0, 1])
def test_cosine_of_one_step_is_full_lr(warmup_steps: int) -> None:
    """A training of a single step is made with the whole lr."""
    assert _lrs(Cosine(kind="cosine", warmup_steps=warmup_steps), 2.0, 1) == [2.0]


def test_cosine_with_a_warm_up_beyond_the_end_only_rises() -> None:
    """A warm-up longer than the training is cut off by its end."""
    assert _lrs(Cosine(kind="cosine", warmup_steps=4), 1.0, 2) == [0.25, 0.5]


@settings(deadline=None)
@given(lr=st.floats(1e-5, 10), every=st.integers(1, 7), factor=st.floats(0.05, 0.95))
def test_step_equals_torch(lr: float, every: int, factor: float) -> None:
    """The step schedule is torch's StepLR."""
    expected = _torch_lrs(StepLR(_torch_sgd(lr), every, factor), 30)
    assert _lrs(Step(kind="step", every=every, factor=factor), lr, 30) == pytest.approx(
        expected, rel=1e-12, abs=0
    )


@settings(deadline=None)
@given(lr=st.floats(1e-5, 10), decay=st.floats(0.3, 0.9999))
def test_exponential_equals_torch(lr: float, decay: float) -> None:
    """The exponential schedule is torch's ExponentialLR."""
    expected = _torch_lrs(ExponentialLR(_torch_sgd(lr), decay), 30)
    assert _lrs(Exponential(kind="exponential", decay=decay), lr, 30) == pytest.approx(
        expected, rel=1e-12, abs=0
    )


@settings(deadline=None)
@given(lr=st.floats(1e-5, 10), floor=st.floats(0.01, 0.9))
def test_cosine_equals_torch(lr: float, floor: float) -> None:
    """Without warm-up the cosine is torch's CosineAnnealingLR over max_steps - 1 intervals."""
    expected = _torch_lrs(CosineAnnealingLR(_torch_sgd(lr), 29, eta_min=floor * lr), 30)
    assert _lrs(Cosine(kind="cosine", min_lr_factor=floor), lr, 30) == pytest.approx(
        expected, rel=1e-10, abs=0
    )


@settings(deadline=None)
@given(
    lr=st.floats(1e-5, 10),
    pct_start=st.floats(0.01, 0.99),
    div_factor=st.floats(1, 100),
    max_steps=st.integers(2, 50),
)
def test_one_cycle_equals_torch(
    lr: float, pct_start: float, div_factor: float, max_steps: int
) -> None:
    """One cycle is torch's OneCycleLR with cosines and without its cycle of momentum."""
    # There torch divides by zero.
    assume(pct_start * max_steps != 1)
    scheduler = OneCycleLR(
        _torch_sgd(lr),
        lr,
        total_steps=max_steps,
        pct_start=pct_start,
        div_factor=div_factor,
        cycle_momentum=False,
    )
    expected = [float(scheduler.get_last_lr()[0])]
    for _ in range(max_steps - 1):
        scheduler.optimizer.step()
        scheduler.step()
        expected.append(float(scheduler.get_last_lr()[0]))
    control = OneCycle(kind="one_cycle", pct_start=pct_start, div_factor=div_factor)
    assert _lrs(control, lr, max_steps) == pytest.approx(expected, rel=1e-7, abs=lr * 1e-12)


def test_one_cycle_by_hand() -> None:
    """From lr/4 over the middle to lr at step 3, then to lr/8 at the last step."""
    control = OneCycle(kind="one_cycle", pct_start=0.6, div_factor=4, final_div_factor=2)
    expected = [0.25, 0.625, 1.0, 0.5625, 0.125]
    assert _lrs(control, 1.0, 5) == pytest.approx(expected, rel=1e-12)


def test_one_cycle_whose_rise_ends_at_step_one_only_falls() -> None:
    """With a rise of one step in four, where torch would divide by zero, step 1 has the full lr."""
    lrs = _lrs(OneCycle(kind="one_cycle", pct_start=0.25), 1.0, 4)
    assert lrs[0] == 1.0
    assert lrs == sorted(lrs, reverse=True)


def _observed(control: Plateau, lr: float, losses: list[float]) -> list[float]:
    controller = make_lr_control(control, lr, len(losses))
    lrs = []
    for step, loss in enumerate(losses, start=1):
        controller.observe_evaluation(step, loss)
        lrs.append(controller.lr(step))
    return lrs


def test_plateau_cuts_once_patience_is_exceeded() -> None:
    """With patience 1, the second evaluation in a row without improvement halves lr."""
    losses = [1.0, 0.5, 0.5, 0.5, 0.5, 0.4, 0.4, 0.4]
    expected = [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.4, 0.2]
    assert _observed(Plateau(kind="plateau", patience=1), 0.8, losses) == expected


def test_plateau_asks_for_more_than_the_threshold() -> None:
    """A gain smaller than the relative threshold is no improvement."""
    control = Plateau(kind="plateau", patience=0, threshold=0.1)
    assert _observed(control, 0.8, [1.0, 0.95, 0.8]) == [0.8, 0.4, 0.4]


def test_plateau_stops_at_min_lr() -> None:
    """The cuts lead to min_lr and no further."""
    control = Plateau(kind="plateau", patience=0, min_lr=0.3)
    assert _observed(control, 0.8, [1.0, 1.0, 1.0, 1.0]) == [0.8, 0.4, 0.3, 0.3]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_plateau_takes_a_broken_loss_for_no_improvement(bad: float) -> None:
    """A non-finite loss counts against patience and does not become the best one."""
    control = Plateau(kind="plateau", patience=0)
    assert _observed(control, 0.8, [1.0, bad, 0.9]) == [0.8, 0.4, 0.4]


@settings(deadline=None)
@given(
    lr=st.floats(1e-9, 10),
    factor=st.floats(0.05, 0.95),
    patience=st.integers(0, 4),
    threshold=st.sampled_from([0.0, 1e-4, 0.1]),
    min_lr=st.sampled_from([0.0, 1e-7, 1e-3]),
    losses=st.lists(st.floats(0, 2) | st.just(float("nan")), max_size=40),
)
def test_plateau_equals_torch(  # noqa: PLR0913 - torch's own parameters
    *,
    lr: float,
    factor: float,
    patience: int,
    threshold: float,
    min_lr: float,
    losses: list[float],
) -> None:
    """After every evaluation lr is, to the last bit, that of torch's ReduceLROnPlateau."""
    control = Plateau(
        kind="plateau", factor=factor, patience=patience, threshold=threshold, min_lr=min_lr
    )
    optimizer = _torch_sgd(lr)
    scheduler = ReduceLROnPlateau(
        optimizer, factor=factor, patience=patience, threshold=threshold, min_lr=min_lr
    )
    expected = []
    for loss in losses:
        scheduler.step(loss)
        expected.append(float(optimizer.param_groups[0]["lr"]))
    assert _observed(control, lr, losses) == expected


def test_plateau_tells_of_its_cuts() -> None:
    """Each cut is an event with the lr before and after; what changes nothing is none."""
    controller = make_lr_control(Plateau(kind="plateau", patience=0, min_lr=0.4), 0.8, 10)
    for step in (100, 200, 300, 400):
        controller.observe_evaluation(step, 1.0)
    assert controller.take_events() == [Event(200, "lr_cut", {"lr_before": 0.8, "lr": 0.4})]
    assert controller.take_events() == []


def test_plateau_goes_on_from_its_state() -> None:
    """A controller restored from a state that went through JSON makes the same cuts."""
    control = Plateau(kind="plateau", patience=1)
    first, second = (make_lr_control(control, 0.8, 10) for _ in range(2))
    for step, loss in enumerate([1.0, 0.5, 0.6], start=1):
        first.observe_evaluation(step, loss)
    second.restore(json.loads(json.dumps(first.state())))
    lrs = []
    for controller in (first, second):
        for step, loss in enumerate([0.7, 0.4, 0.5, 0.5], start=4):
            controller.observe_evaluation(step, loss)
            lrs.append(controller.lr(step))
    assert lrs[:4] == lrs[4:] == [0.4, 0.4, 0.4, 0.2]


def test_a_new_plateau_has_a_state_of_json() -> None:
    """Even before the first evaluation the state is JSON without infinities."""
    controller = make_lr_control(Plateau(kind="plateau"), 0.8, 10)
    json.dumps(controller.state(), allow_nan=False)
    controller.restore(controller.state())
    assert controller.lr(1) == 0.8


def test_a_foreign_state_is_refused() -> None:
    """What is no state of such a controller does not go in."""
    with pytest.raises(ValidationError):
        make_lr_control(Plateau(kind="plateau"), 0.8, 10).restore({"lr": "high"})


def test_a_schedule_demands_nothing() -> None:
    """A schedule has no verdict, no snapshot, no event and no state, whatever the loss."""
    controller = make_lr_control(None, 0.8, 10)
    assert not controller.wants_snapshot(0)
    assert controller.observe_step(1, float("nan"), float("nan"), updated=False) is None
    assert not controller.wants_snapshot(1)
    assert controller.take_events() == []
    assert controller.state() == {}


def test_schedules_ignore_what_is_observed() -> None:
    """A held-out loss moves nothing but the plateau control."""
    controller = make_lr_control(Step(kind="step", every=2, factor=0.5), 0.8, 10)
    controller.observe_evaluation(1, 5.0)
    controller.observe_evaluation(2, 9.0)
    assert [controller.lr(1), controller.lr(3)] == [0.8, 0.4]
