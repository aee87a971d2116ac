"""Residual layers against a slow loop, against plain layers, and by hand."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from contract.spec import JobSpec, Relu
from tests.worker.cells.layer_runs import (
    LayerRun,
    Sizes,
    assert_equals_slow,
    drawn_run,
    drawn_sizes,
    run_layer,
)
from tests.worker.cells.slow_cells import (
    EVERY_KIND,
    KINDS,
    Parameters,
    SlowLayer,
    close,
    layers_of,
    project,
    slow_step,
    spec_of,
)
from worker.cells.cell import State
from worker.cells.residual import ResidualCell
from worker.cells.rnn.reference import RnnReference
from worker.remedies.activations import make_nonlinearity


def slow_residual(kind: str, lag: int) -> SlowLayer:
    """A loop in which the gates also read h of `lag` steps before."""

    def run(
        x_TBI: Tensor, parameters_T: Sequence[Parameters], initial: State
    ) -> tuple[list[State], State]:
        state, past, states = initial[:-1], list(initial[-1]), []
        for x_BI, parameters in zip(x_TBI, parameters_T, strict=True):
            lagged_BG = past[-lag] @ parameters["weight_lag"].T
            state = slow_step(kind, project(x_BI, parameters) + lagged_BG, state, parameters)
            states.append(state)
            past.append(state[0])
        return states, (*state, torch.stack(past[len(past) - lag :]))

    return run


def residual_spec(kind: str, lag: int, hidden: int = 4) -> JobSpec:
    """Layers that also read the state of `lag` steps before."""
    return spec_of(kind, {"kind": "residual", "lag": lag}, hidden)


@given(kind=st.sampled_from(EVERY_KIND), lag=st.integers(2, 7), sizes=drawn_sizes)
def test_residual_layer_is_the_loop_with_one_more_input(kind: str, lag: int, sizes: Sizes) -> None:
    """States, gradients and flow are autograd's, whatever is left over of the last chunk."""
    spec = residual_spec(kind, lag, sizes["hidden"])
    cell = layers_of([spec] * sizes["jobs"])[0]

    assert_equals_slow(cell, slow_residual(kind, lag), spec, sizes)


@pytest.mark.parametrize("kind", KINDS)
def test_without_weights_the_connection_is_not_there(kind: str) -> None:
    """With W_lag = 0 the layer runs as one without a skip, and W_lag still has a gradient."""
    sizes = {"jobs": 2, "time_steps": 8, "sequences": 2, "hidden": 4, "seed": 1}
    plain, residual = (
        layers_of([spec] * 2)[0] for spec in (spec_of(kind, None), residual_spec(kind, 3))
    )
    drawn = drawn_run(plain, spec_of(kind, None), sizes)
    without = LayerRun(drawn.x, drawn.parameters, drawn.grad_h)
    weight_lag = torch.zeros_like(drawn.parameters["weight_hh"])
    with_zeros = LayerRun(drawn.x, drawn.parameters | {"weight_lag": weight_lag}, drawn.grad_h)
    (expected, flow), (ours, its_flow) = run_layer(plain, without), run_layer(residual, with_zeros)

    for name in ("h", "gradient of x", "gradient of weight_hh", "norm of dL/dh_t"):
        close(ours[name], expected[name])
    close(its_flow.saturation_K, flow.saturation_K)
    assert ours["gradient of weight_lag"].abs().sum() > 0


def test_residual_unit_by_hand() -> None:
    """lag=2, w=0, w_lag=3, x=(1,2,3): h=(1,2,6); dL/dh_3=1 reaches h_1 as 3, dL/dw_lag=h_1=1."""
    cell = RnnReference(make_nonlinearity([Relu(kind="relu")], torch.device("cpu"), torch.float64))
    zero, one = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, 1, dtype=torch.float64)
    parameters = {
        "weight_ih": one, "weight_hh": 0 * one, "bias_ih": zero, "bias_hh": zero,
        "weight_lag": 3 * one,
    }  # fmt: skip
    x_KTBI = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).view(1, 3, 1, 1)
    grad_h_KTBH = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).view(1, 3, 1, 1)
    outcome, _ = run_layer(ResidualCell(cell, 2), LayerRun(x_KTBI, parameters, grad_h_KTBH))

    assert outcome["h"].flatten().tolist() == [1.0, 2.0, 6.0]
    assert outcome["norm of dL/dh_t"].flatten().tolist() == [3.0, 0.0, 1.0]
    assert outcome["gradient of weight_lag"].item() == 1.0
    assert outcome["gradient of weight_ih"].item() == 3.0 * 1 + 1.0 * 3
