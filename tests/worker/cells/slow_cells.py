"""The cells written out for autograd, one job and one step at a time.

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units, G gates times H.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from contract.parameter_shapes import layer_shapes
from contract.spec import JobSpec
from worker.cells.cell import RecurrentCell, State
from worker.cells.registry import make_layers

Parameters = Mapping[str, Tensor]
#: The state after each step and what is handed on, from x (T, B, I), the parameters of each step
#: and what was handed on before.
SlowLayer = Callable[[Tensor, Sequence[Parameters], State], tuple[list[State], State]]

KINDS = ("rnn", "gru", "lstm")
#: With the RNN whose activation has parameters of its own.
EVERY_KIND = (*KINDS, "mod_relu")
INPUTS = 3


def slow_step(kind: str, input_BG: Tensor, state: State, parameters: Parameters) -> State:
    """One step of a cell; `input_BG` is all that joins its gates but W_hh h and b_hh."""
    hidden_BG = state[0] @ parameters["weight_hh"].T + parameters["bias_hh"]
    if kind == "rnn":
        return (torch.tanh(input_BG + hidden_BG),)
    if kind == "mod_relu":
        return (mod_relu(input_BG + hidden_BG, parameters["activation_bias"]),)
    if kind == "gru":
        reset_in, update_in, new_in = input_BG.chunk(3, dim=1)
        reset_hidden, update_hidden, m = hidden_BG.chunk(3, dim=1)
        new = torch.tanh(new_in + torch.sigmoid(reset_in + reset_hidden) * m)
        update = torch.sigmoid(update_in + update_hidden)
        return ((1 - update) * new + update * state[0],)
    i, f, g, o = (input_BG + hidden_BG).chunk(4, dim=1)
    c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    # The copy is what is handed on: its gradient is without the path through this step's h.
    return torch.sigmoid(o) * torch.tanh(c), c.clone()


def mod_relu(a: Tensor, bias: Tensor) -> Tensor:
    """The formula of the paper."""
    return torch.sign(a) * torch.relu(a.abs() + bias)


def project(x_BI: Tensor, parameters: Parameters) -> Tensor:
    """What the input adds to the gates, (B, G)."""
    return x_BI @ parameters["weight_ih"].T + parameters["bias_ih"]


def spec_of(kind: str, skip: Mapping[str, object] | None, hidden: int = 4) -> JobSpec:
    """A spec with a skip over time; two layers, so that it may be dilated."""
    activation = {"kind": kind} if kind == "mod_relu" else None
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "adding"},
            "cell": {"kind": "rnn" if activation else kind, "hidden_size": hidden, "num_layers": 2},
            "remedy": {"skip": skip, "activation": activation},
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


def close(actual: Tensor, expected: Tensor) -> None:
    """Equal but for rounding."""
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-12)
