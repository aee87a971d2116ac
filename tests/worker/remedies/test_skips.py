"""How the weights of skips over time start, and that they leave all others as they are."""

import pytest
import torch
from torch import Tensor

from contract.spec import JobSpec
from worker.remedies.inits import initialise, initialise_readout
from worker.training.parameters import ParameterLayout

each_cell = pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
each_skip = pytest.mark.parametrize("skip", ["learned", "residual"])
each_init = pytest.mark.parametrize("init", ["default", "orthogonal", "xavier_normal"])


def start_of(cell: str, **remedy: object) -> dict[str, Tensor]:
    """The parameters of two layers of four units, all drawn from the same seed."""
    spec = JobSpec.model_validate(
        {
            "dataset": {"kind": "adding"},
            "cell": {"kind": cell, "hidden_size": 4, "num_layers": 2},
            "remedy": remedy,
        }
    )
    layout = ParameterLayout(spec, 2, 1)
    row_P = torch.full((layout.num_parameters,), torch.nan, dtype=torch.float64)
    network = layout.views(row_P)
    generator = torch.Generator().manual_seed(7)
    initialise(network.layers, spec.cell, spec.remedy, generator)
    initialise_readout(network.weight, network.bias, generator)
    return layout.named(row_P)


@each_init
@each_skip
@each_cell
def test_skip_changes_no_other_weight(cell: str, skip: str, init: str) -> None:
    """All that a job without the skip has too, the readout among it, starts the same."""
    without = start_of(cell, init={"kind": init})
    with_skip = start_of(cell, init={"kind": init}, skip={"kind": skip})

    assert len(with_skip) > len(without)
    for name, tensor in without.items():
        assert torch.equal(with_skip[name], tensor), name


@each_init
@pytest.mark.parametrize(
    ("cell", "expected"),
    [("rnn", "I"), ("gru", "00I"), ("lstm", "00I0")],
)
def test_lagged_weights_start_as_the_identity_of_the_candidate(
    cell: str, expected: str, init: str
) -> None:
    """What proposes the new state gets h_{t-lag} as it is, the other gates nothing of it."""
    start = start_of(cell, init={"kind": init}, skip={"kind": "residual", "lag": 5})
    identity_HH = torch.eye(4, dtype=torch.float64)
    blocks = [identity_HH if gate == "I" else torch.zeros_like(identity_HH) for gate in expected]

    for layer in range(2):
        assert torch.equal(start[f"rnn.weight_lag_l{layer}"], torch.cat(blocks))


@each_init
@each_cell
def test_gate_starts_open(cell: str, init: str) -> None:
    """The bias is 1 and the weights are small, each layer has its own, whatever the init."""
    start = start_of(cell, init={"kind": init}, skip={"kind": "learned"})
    weights = [start[f"rnn.skip_weight_l{layer}"] for layer in range(2)]

    assert start["rnn.skip_bias_l0"].item() == start["rnn.skip_bias_l1"].item() == 1.0
    assert all((weight.abs() <= 0.5).all() and (weight != 0).all() for weight in weights)
    assert not torch.equal(weights[0], weights[1])


def test_dilated_skip_has_no_weights() -> None:
    """It only says which state a step reads."""
    assert start_of("gru", skip={"kind": "dilated"}).keys() == start_of("gru").keys()
