"""What every cell offers: one layer forward over time, and back again.

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units, G gates times H.

No autograd: a forward pass keeps what its own backward pass needs. A cell's `reference.py` says it
in tensor operations, for any floating dtype and any device; faster ways stand beside it and are
checked against it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from worker.training.parameters import LayerParameters


@dataclass(frozen=True)
class LayerBackward:
    """What came back through one layer, besides the gradients of its parameters."""

    grad_x_KTBI: Tensor | None
    """Gradient of the loss by the layer's input; None if it was not asked for."""
    grad_states: tuple[Tensor, ...]
    """(K, T, B, H) total derivatives by the state that a step hands on: h_t, and of an LSTM also
    c_t by the carry alone. Of a loss at the last step only, c_T has none."""
    delta_KTBG: Tensor
    """Gradient by W_hh h_{t-1} + b_hh."""


class LayerPass(ABC):
    """A forward pass over one layer; it can be taken back once."""

    h_KTBH: Tensor
    """The states h_1 ... h_T, the layer's output."""

    @abstractmethod
    def saturation(self) -> Tensor:
        """(K,) float64 share of activations at their flat ends, in [0, 1]; before `backward`."""

    def dead_fraction(self) -> Tensor | None:
        """(K,) float64 share of units 0 over batch and time; None if the cell's cannot die."""
        return None

    @abstractmethod
    def backward(
        self, grad_h_KTBH: Tensor, gradients: LayerParameters, *, needs_grad_x: bool
    ) -> LayerBackward:
        """Go back over time; what the forward pass kept is overwritten.

        Args:
            grad_h_KTBH: gradient by each h_t from outside the layer (the layer above, the
                readout); becomes the total one, with the paths through later steps.
            gradients: overwritten with the gradients of the layer's parameters.
            needs_grad_x: whether a layer below wants the gradient of its output.
        """


class RecurrentCell(Protocol):
    """The equations of one kind of cell."""

    def forward(self, x_KTBI: Tensor, parameters: LayerParameters) -> LayerPass:
        """Run over all time steps, from h_0 = 0 (and c_0 = 0)."""
