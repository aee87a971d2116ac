"""How minimal cells, LRUs and bidirectional layers start.

Shapes: I inputs, H hidden units.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from contract.parameter_shapes import layer_shapes
from contract.spec import JobSpec
from worker.remedies.inits import initialise
from worker.training.parameters import LayerParameters

INPUTS = 3


def start(
    cell: dict[str, object],
    init: dict[str, object] | None = None,
    *,
    inputs: int = INPUTS,
    dtype: torch.dtype = torch.float64,
) -> dict[str, Tensor]:
    """One layer's parameters from seed 7."""
    spec = JobSpec.model_validate(
        {"dataset": {"kind": "adding"}, "cell": cell, "remedy": {"init": init}}
    )
    layer = {
        name: torch.full(shape, math.nan, dtype=dtype)
        for name, shape in layer_shapes(spec, inputs).items()
    }
    layers: list[LayerParameters] = [layer]
    initialise(layers, spec.cell, spec.remedy, torch.Generator().manual_seed(7))
    return layer


@pytest.mark.parametrize(("kind", "blocks"), [("min_gru", 2), ("min_lstm", 3)])
def test_minimal_cell_starts_as_a_linear_layer(kind: str, blocks: int) -> None:
    """Its numbers are those that torch.nn.Linear draws from the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        reference = nn.Linear(INPUTS, blocks * 16, dtype=torch.float64)
    layer = start({"kind": kind, "hidden_size": 16})

    torch.testing.assert_close(layer["weight_ih"], reference.weight.detach(), rtol=1e-14, atol=0)
    torch.testing.assert_close(layer["bias_ih"], reference.bias.detach(), rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ("xavier_normal", math.sqrt(2 / (64 + 400))),
        ("xavier_uniform", math.sqrt(2 / (64 + 400))),
        # The gates' sigmoid has gain 1, and so has the candidate, which is linear.
        ("kaiming", math.sqrt(1 / 64)),
    ],
)
@pytest.mark.parametrize("kind", ["min_gru", "min_lstm"])
def test_each_block_of_a_minimal_cell_has_its_own_fans(kind: str, init: str, std: float) -> None:
    """Gates and candidate of 400 units on 64 inputs are drawn block by block, biases 0."""
    layer = start({"kind": kind, "hidden_size": 400}, {"kind": init}, inputs=64)

    for block in torch.split(layer["weight_ih"], 400):
        assert block.std().item() == pytest.approx(std, rel=0.02)
    assert not layer["bias_ih"].any()


def test_lru_starts_on_its_ring() -> None:
    """Every |Lambda| and phase lies in the bounds of the spec, spread over all of both."""
    cell: dict[str, object] = {
        "kind": "lru", "hidden_size": 2_000, "r_min": 0.4, "r_max": 0.9, "max_phase": 0.5,
    }  # fmt: skip
    layer = start(cell)
    modulus_H, phase_H = torch.exp(-layer["nu_log"].exp()), layer["theta_log"].exp()

    assert 0.4 <= modulus_H.min() < 0.41
    assert 0.89 < modulus_H.max() <= 0.9
    assert phase_H.min() < 0.01
    assert 0.49 < phase_H.max() <= 0.5


def test_lru_is_spread_evenly_over_the_area() -> None:
    """On the whole disk a quarter of the states have |Lambda| below 1/2."""
    layer = start({"kind": "lru", "hidden_size": 4_000})
    modulus_H = torch.exp(-layer["nu_log"].exp())

    assert (modulus_H < 0.5).double().mean().item() == pytest.approx(0.25, abs=0.02)


def test_gamma_of_an_lru_makes_up_for_its_memory() -> None:
    """At the start gamma^2 + |Lambda|^2 = 1."""
    layer = start({"kind": "lru", "hidden_size": 64})
    modulus_H, gamma_H = torch.exp(-layer["nu_log"].exp()), layer["gamma_log"].exp()

    torch.testing.assert_close(gamma_H**2 + modulus_H**2, torch.ones(64, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "variance"),
    [("b_real", 1 / 200), ("b_imag", 1 / 200), ("c_real", 1 / 300), ("d", 1 / 100)],
)
def test_matrices_of_an_lru_are_normal(name: str, variance: float) -> None:
    """With 100 inputs and 300 states: B from N(0, 1/2I), C from N(0, 1/H), D from N(0, 1/I)."""
    layer = start({"kind": "lru", "hidden_size": 300}, inputs=100)

    assert layer[name].var().item() == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize("r_max", [1e-9, 1.0])
def test_edges_of_the_disk_are_finite(r_max: float) -> None:
    """No |Lambda| is drawn so near to 0 or 1 that a parameter is infinite, in float32 either."""
    layer = start({"kind": "lru", "hidden_size": 4_096, "r_max": r_max}, dtype=torch.float32)

    assert all(value.isfinite().all() for value in layer.values())


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_both_directions_start_as_in_torch(kind: str) -> None:
    """A bidirectional layer's numbers are those that torch draws from the same seed."""
    module = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        reference = module(INPUTS, 16, bidirectional=True, dtype=torch.float64)
    layer = start({"kind": kind, "hidden_size": 16, "bidirectional": True})

    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(
            layer[name.replace("_l0", "")], parameter.detach(), rtol=1e-14, atol=0
        )


def test_an_init_is_applied_to_both_directions() -> None:
    """Orthogonal: W_hh of either direction is, and the two differ."""
    layer = start({"kind": "rnn", "hidden_size": 8, "bidirectional": True}, {"kind": "orthogonal"})
    identity = torch.eye(8, dtype=torch.float64)
    for name in ("weight_hh", "weight_hh_reverse"):
        torch.testing.assert_close(layer[name] @ layer[name].T, identity)

    assert not torch.equal(layer["weight_hh"], layer["weight_hh_reverse"])
