"""What every cell offers: one layer forward over time, and back again.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units.

No autograd: a forward pass keeps what its own backward pass needs. A cell's `reference.py` says it
in tensor operations, for any floating dtype and any device; faster ways stand beside it and are
checked against it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from worker.cells.flow import LayerFlow
from worker.training.parameters import LayerParameters

#: What one time step hands on to the next, each (K, B, H): h, and of an LSTM also c; of an LRU its
#: complex state. A bidirectional layer's are followed by those of its other direction. Skips over
#: time hand on more, in shapes of their own behind the pack axis.
State = tuple[Tensor, ...]


@dataclass(frozen=True)
class LayerBackward:
    """What came back through one layer, besides the gradients of its parameters."""

    grad_x_KTBI: Tensor | None
    """Gradient of the loss by the layer's input; None if it was not asked for."""
    grad_initial: State
    """Gradient by the state before the first step."""
    flow: LayerFlow | None
    """None if it was not asked for."""
    reverse_flow: LayerFlow | None = None
    """Of the direction from the sequence's end, in its own direction of time; None without one."""

    @property
    def flows(self) -> list[LayerFlow]:
        """One a direction, forward first; none if they were not asked for."""
        return [flow for flow in (self.flow, self.reverse_flow) if flow is not None]


class LayerPass(ABC):
    """A forward pass over one layer; it can be taken back once."""

    h_KTBH: Tensor
    """The states h_1 ... h_T, the layer's output; in any memory layout."""
    final_state: State
    """What step T hands on."""

    def answers(self, count: int) -> Tensor:
        """The last `count` states, those that are read out: (K, S, B, H)."""
        return self.h_KTBH[:, self.h_KTBH.shape[1] - count :]

    @abstractmethod
    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,
    ) -> LayerBackward:
        """Go back over time; what the forward pass kept may be overwritten.

        Args:
            grad_h_KSBH: gradient from outside the layer (the layer above, the readout) by
                `answers(S)`; the other states have none. Read only.
            gradients: overwritten with the gradients of the layer's parameters.
            grad_final: gradient by `final_state` from later time steps; None is 0.
            needs_grad_x: whether a layer below wants the gradient of its output.
            measure: whether the flow is wanted.
        """


class RecurrentCell(Protocol):
    """The equations of one kind of cell."""

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps, at least one.

        Args:
            x_KTBI: inputs, in any memory layout.
            parameters: with the pack axis.
            initial: the state before the first step; None is 0.
        """
