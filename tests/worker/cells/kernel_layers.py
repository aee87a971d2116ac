"""One layer run by its kernel in float32 and by its reference in float64, on the same numbers.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units.
"""

from dataclasses import dataclass, fields

import torch
from hypothesis import strategies as st
from torch import Tensor

from contract.parameter_shapes import layer_shapes
from contract.spec import JobSpec
from worker.cells.cell import LayerPass, State
from worker.cells.registry import make_layers
from worker.training.parameters import LayerParameters

CPU = torch.device("cpu")
#: All that a run brings, by what it is.
Outcome = dict[str, Tensor]


@dataclass(frozen=True)
class Sizes:
    """What to draw."""

    jobs: int
    time_steps: int
    answered: int
    """S; at most T of them count."""
    sequences: int
    inputs: int
    hidden: int
    has_initial: bool
    has_grad_final: bool
    needs_grad_x: bool
    seed: int


drawn_sizes = st.builds(
    Sizes,
    jobs=st.integers(1, 8),
    time_steps=st.sampled_from([1, 2, 7, 12]),
    answered=st.sampled_from([0, 1, 3, 12]),
    sequences=st.sampled_from([1, 3, 4, 17]),
    inputs=st.integers(1, 5),
    hidden=st.sampled_from([1, 3, 5, 8, 19]),
    has_initial=st.booleans(),
    has_grad_final=st.booleans(),
    needs_grad_x=st.booleans(),
    seed=st.integers(0, 1000),
)


@dataclass(frozen=True)
class KernelLayer:
    """A layer of each job, and what goes into it forward and back; all in one dtype."""

    specs: list[JobSpec]
    parameters: LayerParameters
    x_KTBI: Tensor
    initial: State | None
    grad_h_KSBH: Tensor
    grad_final: State | None
    needs_grad_x: bool

    def in_float64(self) -> "KernelLayer":
        """The same numbers, for the reference."""
        return KernelLayer(
            self.specs,
            {name: tensor.double() for name, tensor in self.parameters.items()},
            self.x_KTBI.double(),
            _double(self.initial),
            self.grad_h_KSBH.double(),
            _double(self.grad_final),
            self.needs_grad_x,
        )

    def with_parameters(self, **changed: Tensor) -> "KernelLayer":
        """The same with some parameters changed."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return KernelLayer(**own | {"parameters": {**self.parameters, **changed}})

    def forward(self) -> LayerPass:
        """By the kernel in float32, by the reference in float64."""
        cell = make_layers(self.specs, CPU, self.x_KTBI.dtype)[0]
        return cell.forward(self.x_KTBI, self.parameters, self.initial)

    def run(self) -> Outcome:
        """Forward and back."""
        forward = self.forward()
        gradients = {
            name: torch.full_like(tensor, torch.nan) for name, tensor in self.parameters.items()
        }
        h_KTBH, final = forward.h_KTBH.clone(), [part.clone() for part in forward.final_state]
        back = forward.backward(
            self.grad_h_KSBH,
            gradients,
            grad_final=self.grad_final,
            needs_grad_x=self.needs_grad_x,
            measure=True,
        )
        assert back.flow is not None
        found: dict[str, Tensor | None] = {"h": h_KTBH, "gradient of x": back.grad_x_KTBI}
        found |= {f"final state, part {place}": part for place, part in enumerate(final)}
        found |= {
            f"gradient of the initial state, part {place}": part
            for place, part in enumerate(back.grad_initial)
        }
        found |= {f"gradient of {name}": gradient for name, gradient in gradients.items()}
        found |= {field.name: getattr(back.flow, field.name) for field in fields(back.flow)}
        return {name: tensor for name, tensor in found.items() if tensor is not None}


def draw_layer(spec: JobSpec, sizes: Sizes, specs: list[JobSpec] | None = None) -> KernelLayer:
    """A layer in float32, everything normal, parameters at half the size.

    Args:
        spec: of the layer.
        sizes: of the rest.
        specs: one a job, where they differ from `spec` in numbers.
    """
    generator = torch.Generator().manual_seed(sizes.seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    specs = specs or [spec] * sizes.jobs
    shapes = layer_shapes(spec, sizes.inputs)
    parameters = {name: 0.5 * normal(sizes.jobs, *shape) for name, shape in shapes.items()}
    x_KTBI = normal(sizes.jobs, sizes.time_steps, sizes.sequences, sizes.inputs)
    answered = min(sizes.answered, sizes.time_steps)
    grad_h_KSBH = normal(sizes.jobs, answered, sizes.sequences, sizes.hidden)
    handed_on = make_layers(specs, CPU, torch.float32)[0].forward(x_KTBI, parameters).final_state
    # In (0, 1), as any part of a state can be.
    initial = tuple(normal(*part.shape).sigmoid() for part in handed_on)
    grad_final = tuple(normal(*part.shape) for part in handed_on)
    return KernelLayer(
        specs,
        parameters,
        x_KTBI,
        initial if sizes.has_initial else None,
        grad_h_KSBH,
        grad_final if sizes.has_grad_final else None,
        sizes.needs_grad_x,
    )


def _double(state: State | None) -> State | None:
    return None if state is None else tuple(part.double() for part in state)
