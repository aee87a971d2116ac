"""modReLU layers against autograd through the paper's formula, by hand, and in both directions.

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units.
"""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from contract.spec import JobSpec, ModRelu
from tests.worker.cells.layer_runs import (
    LayerRun,
    Sizes,
    assert_equals_slow,
    drawn_run,
    drawn_sizes,
    run_layer,
)
from tests.worker.cells.slow_cells import (
    Parameters,
    close,
    layers_of,
    mod_relu,
    normal,
    project,
    slow_step,
    spec_of,
)
from worker.cells.bidirectional import Bidirectional
from worker.cells.cell import State
from worker.remedies.activations import make_nonlinearity

CPU = torch.device("cpu")
SPEC = spec_of("mod_relu", None)
SIZES = {"jobs": 2, "time_steps": 6, "sequences": 3, "hidden": 4, "seed": 1}


def slow_layer(
    x_TBI: Tensor, parameters_T: Sequence[Parameters], initial: State
) -> tuple[list[State], State]:
    """The equations in a loop."""
    states: list[State] = []
    for x_BI, parameters in zip(x_TBI, parameters_T, strict=True):
        before = states[-1] if states else initial
        states.append(slow_step("mod_relu", project(x_BI, parameters), before, parameters))
    return states, states[-1]


def activated(a: list[float], bias: float) -> list[float]:
    """Our nonlinearity of one unit with that bias."""
    a_KBH = torch.tensor(a, dtype=torch.float64).view(1, -1, 1)
    bias_KH = torch.full((1, 1), bias, dtype=torch.float64)
    nonlinearity = make_nonlinearity([ModRelu(kind="mod_relu")], CPU, torch.float64)
    nonlinearity.of_layer({"activation_bias": bias_KH}).apply_(a_KBH)
    numbers: list[float] = a_KBH.flatten().tolist()
    return numbers


@given(sizes=drawn_sizes)
def test_layer_is_the_loop_of_the_paper(sizes: Sizes) -> None:
    """States, gradients, that of the bias among them, and flow are autograd's in any pack."""
    spec = spec_of("mod_relu", None, sizes["hidden"])
    cell = layers_of([spec] * sizes["jobs"])[0]

    assert_equals_slow(cell, slow_layer, spec, sizes)


@given(a=st.lists(st.floats(-1e3, 1e3), min_size=1), bias=st.floats(-1e3, 1e3))
def test_sign_stays_and_size_is_shifted(a: list[float], bias: float) -> None:
    """|phi(a)| = max(|a| + b, 0), and phi(-a) = -phi(a); phi(0) = 0 whatever b."""
    shifted = activated(a, bias)

    assert [-h for h in shifted] == activated([-one for one in a], bias)
    for one, h in zip(a, shifted, strict=True):
        assert h * one >= 0
        assert abs(h) == (max(abs(one) + bias, 0) if one else 0)


def test_without_bias_it_is_the_identity() -> None:
    """At its start the network is linear."""
    assert activated([-2.0, 0.0, 0.5], 0.0) == [-2.0, 0.0, 0.5]


@pytest.mark.parametrize(("a", "bias"), [(math.nan, 1.0), (1.0, math.nan)])
def test_what_is_no_number_stays_none(a: float, bias: float) -> None:
    """A loss that is not finite must be seen, so nan is not cut to 0."""
    assert math.isnan(activated([a], bias)[0])


def test_unit_by_hand() -> None:
    """w=1, u=1, b=-1, x=(-3, -1/2, 2, 3): h=(-2, -3/2, 0, 2), a_3=1/2 being cut off.

    With dL/dh = (0, 1, 1, 1) the deltas are (1, 1, 0, 1), the signs (-, -, 0, +): dL/db = -1.
    """
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    parameters = {
        "weight_ih": one, "weight_hh": one, "bias_ih": zero, "bias_hh": zero,
        "activation_bias": zero - 1,
    }  # fmt: skip
    x_KTBI = torch.tensor([-3.0, -0.5, 2.0, 3.0], dtype=torch.float64).view(1, 4, 1, 1)
    grad_h_KTBH = torch.tensor([0.0, 1.0, 1.0, 1.0], dtype=torch.float64).view(1, 4, 1, 1)
    cell = layers_of([spec_of("mod_relu", None, 1)])[0]
    outcome, _ = run_layer(cell, LayerRun(x_KTBI, parameters, grad_h_KTBH))

    assert outcome["h"].flatten().tolist() == [-2.0, -1.5, 0.0, 2.0]
    assert outcome["gradient of x"].flatten().tolist() == [1.0, 1.0, 0.0, 1.0]
    assert outcome["gradient of activation_bias"].item() == -1.0
    assert outcome["gradient of weight_hh"].item() == 1.0 * -2.0
    assert outcome["gradient of weight_ih"].item() == -3.0 - 0.5 + 3.0


def test_both_directions_have_biases_of_their_own() -> None:
    """Each direction of a bidirectional layer is the plain layer with its own parameters."""
    document = SPEC.model_dump(mode="json")
    document["cell"]["bidirectional"] = True
    both = layers_of([JobSpec.model_validate(document)] * 2)[0]
    assert isinstance(both, Bidirectional)
    plain = layers_of([SPEC] * 2)[0]
    ahead, back = (drawn_run(plain, SPEC, SIZES | {"seed": seed}) for seed in (1, 2))
    its_x = ahead.x.flip(1)
    parameters = ahead.parameters | {
        f"{name}_reverse": tensor for name, tensor in back.parameters.items()
    }
    grad_h = torch.cat([ahead.grad_h, back.grad_h.flip(1)], dim=3)
    ours, _ = run_layer(both, LayerRun(ahead.x, parameters, grad_h))
    forward, _ = run_layer(plain, LayerRun(ahead.x, ahead.parameters, ahead.grad_h))
    reverse, _ = run_layer(plain, LayerRun(its_x, back.parameters, back.grad_h))

    close(ours["h"], torch.cat([forward["h"], reverse["h"].flip(1)], dim=3))
    for name in ("activation_bias", "weight_hh", "bias_ih"):
        close(ours[f"gradient of {name}"], forward[f"gradient of {name}"])
        close(ours[f"gradient of {name}_reverse"], reverse[f"gradient of {name}"])


def test_bias_gradient_needs_activity() -> None:
    """A unit that is never active has no gradient at all: it cannot come back."""
    cell = layers_of([SPEC] * 2)[0]
    drawn = drawn_run(cell, SPEC, SIZES)
    bias_KH = drawn.parameters["activation_bias"].clone()
    bias_KH[:, 1] = -100
    parameters = drawn.parameters | {"activation_bias": bias_KH}
    outcome, _ = run_layer(cell, LayerRun(drawn.x, parameters, drawn.grad_h))

    for name in ("activation_bias", "weight_hh", "weight_ih", "bias_ih"):
        assert not outcome[f"gradient of {name}"][:, 1].any()


def test_formula_of_the_tests_is_the_papers() -> None:
    """Equation 8: (|z| + b) z/|z| where |z| + b is at least 0, else 0."""
    z, bias = normal(50, seed=3), normal(50, seed=4)
    expected = [
        (abs(one) + b) * one / abs(one) if abs(one) + b >= 0 else 0.0
        for one, b in zip(z.tolist(), bias.tolist(), strict=True)
    ]

    close(mod_relu(z, bias), torch.tensor(expected, dtype=torch.float64))
