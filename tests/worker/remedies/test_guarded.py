"""Rollbacks of the guarded lr control on losses written down by hand."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.spec import Guarded
from worker.remedies.lr_control import KEPT_SNAPSHOTS, LrController, Verdict, make_lr_control
from worker.training.records import Event

Detail = dict[str, float | int | str]

WINDOW = 4
CONTROL = Guarded(kind="guarded", window=WINDOW, spike_factor=3.0, max_rollbacks=2)


class _Loop:
    """What a training loop does around a controller: keeps snapshots, counts steps."""

    def __init__(self, controller: LrController) -> None:
        self.controller = controller
        self.step = 0
        self.snapshots = [0] if controller.wants_snapshot(0) else []
        self.returned_to: list[int] = []

    def tell(self, *losses: float, updated: bool = True) -> None:
        """Run steps with these losses."""
        for loss in losses:
            self.step += 1
            verdict = self.controller.observe_step(self.step, loss, 1.0, updated=updated)
            if verdict is Verdict.ROLL_BACK:
                self.snapshots = self.snapshots[:1]
                self.returned_to += self.snapshots
            if self.controller.wants_snapshot(self.step):
                self.snapshots = [*self.snapshots, self.step][-KEPT_SNAPSHOTS:]


def _loop() -> _Loop:
    return _Loop(make_lr_control(CONTROL, 0.8, 1000))


def test_a_snapshot_is_taken_at_the_start_and_after_every_window() -> None:
    """Of steps 0, 4, 8 and 12 the last two are kept."""
    loop = _loop()
    assert loop.snapshots == [0]
    loop.tell(*[1.0] * 6)
    assert loop.snapshots == [0, 4]
    loop.tell(*[1.0] * 7)
    assert loop.snapshots == [8, 12]


def test_a_spike_goes_back_to_the_older_snapshot_with_a_smaller_lr() -> None:
    """A loss above 3 times the median of the last 4 rolls back, halves lr and is an event."""
    loop = _loop()
    loop.tell(*[1.0] * 9, 3.1)
    assert loop.returned_to == [4]
    assert loop.controller.lr(11) == 0.4
    detail: Detail = {"to_step": 4, "lr": 0.4, "count": 1, "loss": 3.1, "reference": 1.0}
    assert loop.controller.take_events() == [Event(10, "rollback", detail)]


def test_three_times_the_median_is_no_spike_yet() -> None:
    """The loss has to exceed the factor, not to reach it."""
    loop = _loop()
    loop.tell(*[1.0] * 9, 3.0)
    assert loop.returned_to == []
    assert loop.controller.take_events() == []


def test_the_median_follows_the_last_window_only() -> None:
    """Once losses of 10 have filled the window, 29 is no spike and 31 is one."""
    loop = _loop()
    loop.tell(5.0, 5.0, 5.0, 5.0, *[10.0] * 4, 29.0)
    assert loop.returned_to == []
    loop.tell(31.0)
    assert len(loop.returned_to) == 1


@pytest.mark.parametrize(("window", "warmup"), [(3, 3), (50, 5)])
def test_no_loss_is_a_spike_while_warming_up(window: int, warmup: int) -> None:
    """A jump is borne before 5 losses, or a window of them, are known, and not after."""
    for known in (warmup - 1, warmup):
        loop = _Loop(make_lr_control(Guarded(kind="guarded", window=window), 0.8, 1000))
        loop.tell(*[1.0] * known, 50.0)
        assert len(loop.returned_to) == (known == warmup)


@pytest.mark.parametrize("loss", [math.nan, math.inf, 1.0])
def test_a_refused_update_is_a_spike_even_while_warming_up(loss: float) -> None:
    """Loss or gradient not finite: back to the start at once; the event holds numbers only."""
    loop = _loop()
    loop.tell(1.0)
    loop.tell(loss, updated=False)
    assert loop.returned_to == [0]
    (event,) = loop.controller.take_events()
    measured = {"loss": loss} if math.isfinite(loss) else {}
    assert event.detail == {"to_step": 0, "lr": 0.4, "count": 1, **measured}


def test_the_median_goes_back_with_the_state() -> None:
    """After a rollback the loss is compared with what it was at the snapshot, not later.

    A network that had fallen from 10 to 1 is again one of 10: that is no second spike.
    """
    loop = _loop()
    loop.tell(*[10.0] * 4, *[1.0] * 4, 9.0)
    assert loop.returned_to == [4]
    loop.tell(10.0)
    assert loop.returned_to == [4]
    loop.tell(31.0)
    assert loop.returned_to == [4, 4]


def test_after_a_rollback_a_window_passes_before_the_next_snapshot() -> None:
    """The one gone back to stays the older of two until two newer ones are taken."""
    loop = _loop()
    loop.tell(*[1.0] * 9, 9.0)
    assert loop.snapshots == [4]
    loop.tell(*[1.0] * 4)
    assert loop.snapshots == [4, 14]
    loop.tell(9.0)
    assert loop.returned_to == [4, 4]


def test_after_the_last_rollback_it_says_so_once_and_lets_go() -> None:
    """The third spike of two allowed is one event; no rollback, no snapshot and no cut follow."""
    loop = _loop()
    loop.tell(*[1.0] * 8, 9.0, 9.0)
    loop.controller.take_events()
    loop.tell(9.0, 9.0)
    loop.tell(math.nan, updated=False)
    loop.tell(*[1.0] * 20)
    detail: Detail = {"count": 2, "loss": 9.0, "reference": 1.0}
    assert loop.controller.take_events() == [Event(11, "rollbacks_exhausted", detail)]
    assert loop.returned_to == [4, 4]
    assert loop.snapshots == [4]
    assert loop.controller.lr(40) == 0.2


losses = st.floats(0, 100) | st.just(math.nan) | st.just(math.inf)


@given(losses=st.lists(losses, max_size=80))
def test_whatever_the_losses_a_rollback_has_where_to_go(losses: list[float]) -> None:
    """It goes to the older snapshot the loop holds, at most twice, and lr is cut as often."""
    loop = _loop()
    for loss in losses:
        loop.tell(loss, updated=math.isfinite(loss))
    events = [event for event in loop.controller.take_events() if event.kind == "rollback"]
    assert [event.detail["to_step"] for event in events] == loop.returned_to
    assert len(events) <= 2
    assert loop.controller.lr(loop.step + 1) == 0.8 * 0.5 ** len(events)
    json.dumps([event.detail for event in events], allow_nan=False)


@given(losses=st.lists(losses, min_size=1, max_size=60), cut=st.integers(0, 59))
def test_it_goes_on_from_its_state(losses: list[float], cut: int) -> None:
    """Exchanged in the middle for one restored from its state in JSON, nothing changes."""
    whole, parts = _loop(), _loop()
    for step, loss in enumerate(losses):
        if step == cut:
            state = json.loads(json.dumps(parts.controller.state(), allow_nan=False))
            parts.controller = make_lr_control(CONTROL, 0.8, 1000)
            parts.controller.restore(state)
        for loop in (whole, parts):
            loop.tell(loss, updated=math.isfinite(loss))
    assert parts.returned_to == whole.returned_to
    assert parts.snapshots == whole.snapshots
    assert parts.controller.state() == whole.controller.state()
