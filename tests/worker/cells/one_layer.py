"""One layer with drawn parameters, inputs and gradients, for the tests of cells.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, D outputs.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from contract.parameter_shapes import layer_output_size
from contract.spec import JobSpec
from worker.cells.cell import LayerBackward, LayerPass, RecurrentCell, State
from worker.cells.registry import make_layers
from worker.training.parameters import LayerParameters, ParameterLayout


@dataclass(frozen=True)
class Sizes:
    """What to draw."""

    jobs: int = 1
    time_steps: int = 1
    answered: int = 1
    sequences: int = 1
    inputs: int = 1
    hidden: int = 1
    seed: int = 0

    @classmethod
    def of(cls, sizes: dict[str, int]) -> Self:
        """S is at most T."""
        return cls(**sizes | {"answered": min(sizes["answered"], sizes["time_steps"])})


@dataclass(frozen=True)
class Layer:
    """A layer and all that goes into it, forward and back."""

    cell: RecurrentCell
    parameters: LayerParameters
    x_KTBI: Tensor
    initial: State
    grad_h_KSBD: Tensor
    grad_final: State

    def forward(self) -> LayerPass:
        """Run over all steps."""
        return self.cell.forward(self.x_KTBI, self.parameters, self.initial)

    def backward(self, forward: LayerPass) -> tuple[LayerBackward, LayerParameters]:
        """Go back, all gradients asked for; those of the parameters start as nan."""
        gradients = {
            name: torch.full_like(tensor, torch.nan) for name, tensor in self.parameters.items()
        }
        back = forward.backward(
            self.grad_h_KSBD,
            gradients,
            grad_final=self.grad_final,
            needs_grad_x=True,
            measure=True,
        )
        return back, gradients

    def job(self, index: int) -> "Layer":
        """One job of the pack as a pack of its own."""
        rows = slice(index, index + 1)
        return Layer(
            self.cell,
            {name: tensor[rows] for name, tensor in self.parameters.items()},
            self.x_KTBI[rows],
            tuple(tensor[rows] for tensor in self.initial),
            self.grad_h_KSBD[rows],
            tuple(tensor[rows] for tensor in self.grad_final),
        )


def draw_layer(kind: str, sizes: Sizes, *, target_steps: int = 2, **cell: bool) -> Layer:
    """A layer of that kind in float64, everything normal, parameters at half the size."""
    document = {
        "dataset": {"kind": "adding"},
        "cell": {"kind": kind, "hidden_size": sizes.hidden, **cell},
    }
    spec = JobSpec.model_validate(document)
    (layer,) = make_layers([spec] * sizes.jobs, torch.device("cpu"), torch.float64, target_steps)
    generator = torch.Generator().manual_seed(sizes.seed)
    layout = ParameterLayout(spec, sizes.inputs, 1)
    buffer_KP = 0.5 * normal(generator, sizes.jobs, layout.num_parameters)
    (parameters,) = layout.views(buffer_KP).layers
    steps = (sizes.jobs, sizes.time_steps, sizes.sequences, sizes.inputs)
    x_KTBI = normal(generator, *steps)
    outputs = layer_output_size(spec.cell)
    grad_h_KSBD = normal(generator, sizes.jobs, sizes.answered, sizes.sequences, outputs)
    final = layer.forward(x_KTBI, parameters).final_state
    initial, grad_final = (
        tuple(torch.randn(part.shape, generator=generator, dtype=part.dtype) for part in final)
        for _ in range(2)
    )
    return Layer(layer, parameters, x_KTBI, initial, grad_h_KSBD, grad_final)


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    """float64 normal numbers."""
    return torch.randn(*shape, generator=generator, dtype=torch.float64)
