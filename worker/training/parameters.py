"""All parameters of a network in one flat buffer, with named views into it.

Shapes: K jobs of a pack, P parameters of one job, L layers, G gates, I inputs, H hidden units,
O outputs. One buffer makes an optimizer's step, a norm or a checkpoint one operation.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

NUM_GATES = {"rnn": 1, "gru": 3, "lstm": 4}


@dataclass(frozen=True)
class LayerParameters:
    """One layer's parameters (or their gradients), in torch's layout and order of gates.

    Views, with or without a leading pack axis. An LSTM's gates are i, f, g, o; a GRU's r, z, n.
    """

    weight_ih: Tensor
    """(K, G*H, I); I is H above the first layer."""
    weight_hh: Tensor
    """(K, G*H, H)."""
    bias_ih: Tensor
    """(K, G*H)."""
    bias_hh: Tensor
    """(K, G*H)."""


@dataclass(frozen=True)
class NetworkParameters:
    """The parameters (or their gradients) of stacked layers and a linear readout."""

    layers: tuple[LayerParameters, ...]
    """L layers from the input up."""
    weight: Tensor
    """(K, O, H), of the readout."""
    bias: Tensor
    """(K, O), of the readout."""


@dataclass(frozen=True)
class ParameterLayout:
    """Where each parameter lies in the flat buffer."""

    kind: Literal["rnn", "gru", "lstm"]
    input_size: int
    hidden_size: int
    num_layers: int
    output_size: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter by its name, in the order of the buffer.

        `rnn.weight_ih_l0`, ..., `readout.weight`, `readout.bias`: the names in the state dict of a
        torch module that has its recurrent part as `rnn` and a `torch.nn.Linear` as `readout`.
        """
        rows = NUM_GATES[self.kind] * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(self.num_layers):
            columns = self.hidden_size if layer else self.input_size
            shapes[f"rnn.weight_ih_l{layer}"] = (rows, columns)
            shapes[f"rnn.weight_hh_l{layer}"] = (rows, self.hidden_size)
            shapes[f"rnn.bias_ih_l{layer}"] = (rows,)
            shapes[f"rnn.bias_hh_l{layer}"] = (rows,)
        shapes["readout.weight"] = (self.output_size, self.hidden_size)
        shapes["readout.bias"] = (self.output_size,)
        return shapes

    @property
    def num_parameters(self) -> int:
        """P."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def named(self, buffer: Tensor) -> dict[str, Tensor]:
        """Views of a (P,) or (K, P) buffer by name; a leading axis stays in front."""
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        parts = torch.split(buffer, sizes, dim=-1)
        lead = buffer.shape[:-1]
        return {
            name: part.view(*lead, *shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def views(self, buffer: Tensor) -> NetworkParameters:
        """Views of a (P,) or (K, P) buffer by their place in the network."""
        named = self.named(buffer)
        layers = tuple(
            LayerParameters(
                weight_ih=named[f"rnn.weight_ih_l{layer}"],
                weight_hh=named[f"rnn.weight_hh_l{layer}"],
                bias_ih=named[f"rnn.bias_ih_l{layer}"],
                bias_hh=named[f"rnn.bias_hh_l{layer}"],
            )
            for layer in range(self.num_layers)
        )
        return NetworkParameters(layers, named["readout.weight"], named["readout.bias"])
