"""What every learning rate controller is: asked for lr, told what happened."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from pydantic import BaseModel, JsonValue

from worker.training.records import Event


class Verdict(StrEnum):
    """What a controller demands after a step."""

    ROLL_BACK = "roll_back"  #: take up the older of the two last snapshots again
    STOP = "stop"  #: end the training


class LrController(ABC):
    """The learning rate of one job over its training.

    A step runs: `lr`, the update, `observe_step`; then, if that step is evaluated,
    `observe_evaluation`; then `take_events` and `wants_snapshot`.
    """

    @abstractmethod
    def lr(self, step: int) -> float:
        """Learning rate of the update at `step`, counted from 1."""

    def observe_step(
        self,
        step: int,  # noqa: ARG002 - a schedule has nothing to learn
        loss: float,  # noqa: ARG002 - the same
        grad_norm: float,  # noqa: ARG002 - the same
        *,
        updated: bool,  # noqa: ARG002 - the same
    ) -> Verdict | None:
        """Tell what a step brought.

        Args:
            step: just done.
            loss: of its batch, before its update.
            grad_norm: before clipping.
            updated: False if its update was refused.

        Returns:
            What has to be done now; None is nothing.
        """
        return None

    def observe_evaluation(self, step: int, val_loss: float) -> None:  # noqa: B027 - the same
        """Tell the held-out loss after a step."""

    def wants_snapshot(self, step: int) -> bool:  # noqa: ARG002 - nothing to go back to
        """Whether the job's state after `step` is to be kept; 0 is before the first step.

        Asked once a step. Kept are parameters, optimizer state and clipping state, the last
        `KEPT_SNAPSHOTS` times. On `Verdict.ROLL_BACK` the older one is taken up again and the
        newer one dropped. The data goes on: the batches that did harm are not seen again.
        """
        return False

    def take_events(self) -> list[Event]:
        """What was decided since the last call."""
        return []

    def state(self) -> dict[str, JsonValue]:
        """All that is remembered, but for events not yet taken."""
        return {}

    def restore(self, state: Mapping[str, JsonValue]) -> None:  # noqa: B027 - nothing remembered
        """Go on from what `state` once gave.

        Raises:
            pydantic.ValidationError: if it is not the state of such a controller.
        """


StateT = TypeVar("StateT", bound=BaseModel)


class WatchingController(LrController, Generic[StateT]):
    """A controller with a memory and events.

    Args:
        state: what it remembers at the start, and the model of it.
    """

    def __init__(self, state: StateT) -> None:
        self._state = state
        self._events: list[Event] = []

    def take_events(self) -> list[Event]:
        """What was decided since the last call."""
        events, self._events = self._events, []
        return events

    def state(self) -> dict[str, JsonValue]:
        """All that is remembered, but for events not yet taken."""
        return self._state.model_dump(mode="json")

    def restore(self, state: Mapping[str, JsonValue]) -> None:
        """Go on from what `state` once gave."""
        self._state = type(self._state).model_validate(state)

    def _record(self, step: int, kind: str, **detail: float | str) -> None:
        self._events.append(Event(step, kind, dict(detail)))
