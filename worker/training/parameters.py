"""All parameters of a network in one flat buffer, with named views into it.

Shapes: K jobs of a pack, P parameters of one job, L layers, H features of the top layer, O outputs.
One buffer makes an optimizer's step, a norm or a checkpoint one operation.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from contract.parameter_shapes import (
    REVERSE,
    Shapes,
    layer_shapes,
    network_shapes,
    parameter_name,
)
from contract.spec import JobSpec

#: One layer's parameters (or their gradients) by name, as in `layer_shapes`; views, with or without
#: a leading pack axis.
LayerParameters = Mapping[str, Tensor]


def directions(layer: LayerParameters) -> list[LayerParameters]:
    """A layer's parameters by direction: one, or, if it is bidirectional, forward and reverse."""
    forward = {name: tensor for name, tensor in layer.items() if not name.endswith(REVERSE)}
    reverse = {name.removesuffix(REVERSE): layer[name] for name in layer if name not in forward}
    return [forward, reverse] if reverse else [forward]


def of_job(layer: LayerParameters, index: int) -> LayerParameters:
    """Copies of one job's parameters, as a pack of one.

    A view would not do: products may round by where in memory their factors begin, and a job's bits
    would depend on its place in the pack.
    """
    return {name: tensor[index : index + 1].clone() for name, tensor in layer.items()}


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

    spec: JobSpec
    """Its cell and remedy say what parameters there are."""
    input_size: int
    output_size: int

    @cached_property
    def shapes(self) -> Shapes:
        """Shape of each parameter by its name, in the order of the buffer."""
        return network_shapes(self.spec, self.input_size, self.output_size)

    @cached_property
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
        names = layer_shapes(self.spec, self.input_size)
        layers = tuple(
            {name: named[parameter_name(name, layer)] for name in names}
            for layer in range(self.spec.cell.num_layers)
        )
        return NetworkParameters(layers, named["readout.weight"], named["readout.bias"])

    def buffer(self, flat_KP: Tensor) -> "ParameterBuffer":
        """A (K, P) buffer with the views into it, made once."""
        return ParameterBuffer(flat_KP, self.views(flat_KP))


@dataclass(frozen=True)
class ParameterBuffer:
    """All jobs' parameters, or their gradients: as one tensor and by place in the network."""

    flat_KP: Tensor
    network: NetworkParameters
