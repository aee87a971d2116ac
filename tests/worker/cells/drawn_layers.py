"""Cells and random layers for the tests of cells, in float64 on the CPU."""

from collections.abc import Sequence

import torch
from torch import Tensor

from contract.spec import JobSpec
from worker.cells.cell import RecurrentCell
from worker.cells.registry import make_layers
from worker.training.parameters import LayerParameters, ParameterLayout

KINDS = ("rnn", "gru", "lstm")
CPU = torch.device("cpu")
#: What a cell hands on.
NUM_STATES = {"rnn": 1, "gru": 1, "lstm": 2}

Activation = dict[str, object]


def normal(*shape: int, seed: int, scale: float = 1.0) -> Tensor:
    """Independent normal numbers, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64) * scale


def make_spec(
    kind: str, *, hidden_size: int = 3, num_layers: int = 1, activation: Activation | None = None
) -> JobSpec:
    """A spec of a network; all else is the default."""
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "adding"},
            "cell": {"kind": kind, "hidden_size": hidden_size, "num_layers": num_layers},
            "remedy": {"activation": activation},
        }
    )


def make_cell(specs: Sequence[JobSpec]) -> RecurrentCell:
    """The cell of the lowest layer of a pack."""
    return make_layers(specs, CPU, torch.float64)[0]


def draw_layer(
    spec: JobSpec, *, inputs: int, jobs: int, seed: int, scale: float = 0.5
) -> LayerParameters:
    """The lowest layer's parameters of each job, all random."""
    layout = ParameterLayout(spec, inputs, 1)
    return layout.views(normal(jobs, layout.num_parameters, seed=seed, scale=scale)).layers[0]


def empty_like(layer: LayerParameters) -> LayerParameters:
    """Room for gradients, nan until it is filled."""
    return {name: torch.full_like(tensor, torch.nan) for name, tensor in layer.items()}
