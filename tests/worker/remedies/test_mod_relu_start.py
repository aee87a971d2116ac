"""How the bias of modReLU starts, and that it leaves all other weights as they are."""

import pytest
import torch

from contract.parameter_shapes import count_parameters
from contract.spec import JobSpec
from worker.remedies.inits import initialise, initialise_readout
from worker.training.parameters import ParameterLayout

each_init = pytest.mark.parametrize("init", ["default", "orthogonal", "xavier_normal", "identity"])


def spec_of(activation: str, init: str = "default") -> JobSpec:
    """Two layers of four units, in both directions."""
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "adding"},
            "cell": {"kind": "rnn", "hidden_size": 4, "num_layers": 2, "bidirectional": True},
            "remedy": {"activation": {"kind": activation}, "init": {"kind": init}},
        }
    )


def start_of(activation: str, init: str) -> dict[str, torch.Tensor]:
    """All parameters, drawn from the same seed."""
    spec = spec_of(activation, init)
    layout = ParameterLayout(spec, 2, 1)
    row_P = torch.full((layout.num_parameters,), torch.nan, dtype=torch.float64)
    network = layout.views(row_P)
    generator = torch.Generator().manual_seed(7)
    initialise(network.layers, spec.cell, spec.remedy, generator)
    initialise_readout(network.weight, network.bias, generator)
    return layout.named(row_P)


@each_init
def test_bias_starts_at_0_whatever_the_init(init: str) -> None:
    """In each layer and direction: at first every unit is the identity."""
    start = start_of("mod_relu", init)
    biases = [f"rnn.activation_bias_l{layer}{end}" for layer in (0, 1) for end in ("", "_reverse")]

    for name in biases:
        assert start[name].tolist() == [0.0] * 4


@each_init
def test_activation_changes_no_other_weight(init: str) -> None:
    """A job of the same seed with tanh starts from the same numbers, the readout among them."""
    tanh, with_bias = start_of("tanh", init), start_of("mod_relu", init)

    assert len(with_bias) == len(tanh) + 4
    for name, tensor in tanh.items():
        assert torch.equal(with_bias[name], tensor), name


def test_each_unit_has_one_parameter_more() -> None:
    """Two layers of two directions of four units have sixteen."""
    plain, with_bias = (count_parameters(spec_of(kind), 2, 1) for kind in ("tanh", "mod_relu"))

    assert with_bias - plain == 16
