"""The cells written out for autograd, one job and one step at a time, and a way to compare.

Shapes: T time steps, B sequences, I inputs, H hidden units, G gates times H.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from contract.parameter_shapes import layer_shapes
from contract.spec import JobSpec
from worker.cells.cell import LayerBackward, LayerPass, RecurrentCell, State
from worker.cells.registry import make_layers

Parameters = Mapping[str, Tensor]
#: Outputs (T, B, H) and the state after them, from x (T, B, I), the parameters and a state.
SlowLayer = Callable[[Tensor, Parameters, State], tuple[Tensor, State]]

KINDS = ("rnn", "gru", "lstm")
INPUTS = 3

drawn_sizes = st.fixed_dictionaries(
    {
        "jobs": st.integers(1, 3),
        "time_steps": st.integers(1, 11),
        "sequences": st.integers(1, 3),
        "hidden": st.integers(1, 4),
        "seed": st.integers(0, 10_000),
    }
)


def slow_step(kind: str, input_BG: Tensor, state: State, parameters: Parameters) -> State:
    """One step of a cell; `input_BG` is all that joins its gates but W_hh h and b_hh."""
    hidden_BG = state[0] @ parameters["weight_hh"].T + parameters["bias_hh"]
    if kind == "rnn":
        return (torch.tanh(input_BG + hidden_BG),)
    if kind == "gru":
        reset_in, update_in, new_in = input_BG.chunk(3, dim=1)
        reset_hidden, update_hidden, m = hidden_BG.chunk(3, dim=1)
        new = torch.tanh(new_in + torch.sigmoid(reset_in + reset_hidden) * m)
        update = torch.sigmoid(update_in + update_hidden)
        return ((1 - update) * new + update * state[0],)
    i, f, g, o = (input_BG + hidden_BG).chunk(4, dim=1)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def state_parts(kind: str) -> int:
    """How many tensors a cell hands on."""
    return 2 if kind == "lstm" else 1


def spec_of(kind: str, skip: Mapping[str, object] | None, hidden: int = 4) -> JobSpec:
    """A spec with a skip over time; two layers, so that it may be dilated."""
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "adding"},
            "cell": {"kind": kind, "hidden_size": hidden, "num_layers": 2},
            "remedy": {"skip": skip},
        }
    )


def layers_of(specs: Sequence[JobSpec]) -> tuple[RecurrentCell, ...]:
    """The layers of a pack in float64 on the CPU."""
    return make_layers(specs, torch.device("cpu"), torch.float64)


def normal(*shape: int, seed: int) -> Tensor:
    """Normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def drawn_parameters(spec: JobSpec, jobs: int, seed: int) -> dict[str, Tensor]:
    """Parameters of a layer, with the pack axis."""
    shapes = layer_shapes(spec, INPUTS)
    return {
        name: 0.7 * normal(jobs, *shape, seed=seed + index)
        for index, (name, shape) in enumerate(shapes.items())
    }


@dataclass(frozen=True)
class Outcome:
    """A layer run forward and back."""

    forward: LayerPass
    back: LayerBackward
    gradients: dict[str, Tensor]


def run_layer(  # noqa: PLR0913 - what a layer is run with
    cell: RecurrentCell,
    x_KTBI: Tensor,
    parameters: Mapping[str, Tensor],
    grad_h_KSBH: Tensor,
    *,
    initial: State | None = None,
    grad_final: State | None = None,
) -> Outcome:
    """Forward and back, everything asked for."""
    gradients = {name: torch.full_like(tensor, torch.nan) for name, tensor in parameters.items()}
    forward = cell.forward(x_KTBI, parameters, initial)
    back = forward.backward(
        grad_h_KSBH, gradients, grad_final=grad_final, needs_grad_x=True, measure=True
    )
    return Outcome(forward, back, gradients)


def assert_equals_slow(cell: RecurrentCell, slow: SlowLayer, spec: JobSpec, **sizes: int) -> None:
    """States, all gradients and the gradient by what came before are autograd's, in every job.

    The layer starts from a state, and a gradient comes from the state it hands on.
    """
    jobs, time_steps, seed = sizes["jobs"], sizes["time_steps"], sizes["seed"]
    x_KTBI = normal(jobs, time_steps, sizes["sequences"], INPUTS, seed=seed + 20)
    parameters = drawn_parameters(spec, jobs, seed)
    first = cell.forward(x_KTBI, parameters)
    initial = tuple(
        _in_range(part, seed + 30 + place) for place, part in enumerate(first.final_state)
    )
    grad_h = normal(*first.h_KTBH.shape, seed=seed + 40)
    grad_final = tuple(
        normal(*part.shape, seed=seed + 50 + place) for place, part in enumerate(initial)
    )
    outcome = run_layer(cell, x_KTBI, parameters, grad_h, initial=initial, grad_final=grad_final)
    for job in range(jobs):
        leaves = [x_KTBI[job], *(part[job] for part in initial)]
        leaves += [tensor[job] for tensor in parameters.values()]
        leaves = [leaf.clone().requires_grad_() for leaf in leaves]
        x_TBI, *rest = leaves
        start, weights = tuple(rest[: len(initial)]), rest[len(initial) :]
        h_TBH, final = slow(x_TBI, dict(zip(parameters, weights, strict=True)), start)
        expected = torch.autograd.grad(
            [h_TBH, *final],
            leaves,
            [grad_h[job], *(part[job] for part in grad_final)],
            materialize_grads=True,
        )
        assert outcome.back.grad_x_KTBI is not None
        ours = [outcome.back.grad_x_KTBI, *outcome.back.grad_initial, *outcome.gradients.values()]
        close([part[job] for part in outcome.forward.final_state], list(final))
        close(outcome.forward.h_KTBH[job], h_TBH)
        close([tensor[job] for tensor in ours], list(expected))


def close(actual: Tensor | list[Tensor], expected: Tensor | list[Tensor]) -> None:
    """Equal but for rounding."""
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-12)


def _in_range(like: Tensor, seed: int) -> Tensor:
    """Numbers in (0, 1), which any part of a state can be."""
    return torch.rand(like.shape, generator=torch.Generator().manual_seed(seed), dtype=like.dtype)
