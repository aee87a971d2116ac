"""Skip RNN layers against a slow loop, against torch, by hand, and their cost."""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

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
    INPUTS,
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
from worker.cells.rnn.reference import RnnReference
from worker.cells.skipping import SkippingCell
from worker.remedies.activations import make_nonlinearity


class _Round(torch.autograd.Function):
    """Rounding that passes its gradient straight through."""

    @staticmethod
    def forward(_: torch.autograd.function.FunctionCtx, p: Tensor) -> Tensor:
        return torch.round(p)

    @staticmethod
    def backward(_: torch.autograd.function.FunctionCtx, grad: Tensor) -> Tensor:
        return grad


def slow_skip(kind: str, updates: list[Tensor] | None = None) -> SlowLayer:
    """The equations of Campos et al. in a loop; u of each step is appended to `updates`."""

    def run(
        x_TBI: Tensor, parameters_T: Sequence[Parameters], initial: State
    ) -> tuple[list[State], State]:
        state, p_B1, states = initial[:-1], initial[-1], []
        for x_BI, parameters in zip(x_TBI, parameters_T, strict=True):
            proposed = slow_step(kind, project(x_BI, parameters), state, parameters)
            u_B1 = _Round.apply(p_B1)  # type: ignore[no-untyped-call]
            state = tuple(
                u_B1 * new + (1 - u_B1) * old for new, old in zip(proposed, state, strict=True)
            )
            d_B1 = torch.sigmoid(state[-1] @ parameters["skip_weight"].T + parameters["skip_bias"])
            p_B1 = u_B1 * d_B1 + (1 - u_B1) * (p_B1 + torch.minimum(d_B1, 1 - p_B1))
            states.append(state)
            if updates is not None:
                updates.append(u_B1)
        return states, (*state, p_B1)

    return run


def skip_spec(kind: str, cost: float = 0.0, hidden: int = 4) -> JobSpec:
    """Layers that learn when to update."""
    return spec_of(kind, {"kind": "learned", "cost": cost}, hidden)


@given(kind=st.sampled_from(EVERY_KIND), sizes=drawn_sizes)
def test_skipping_layer_is_the_loop_of_the_paper(kind: str, sizes: Sizes) -> None:
    """States, straight-through gradients and flow are those of autograd through the equations."""
    spec = skip_spec(kind, hidden=sizes["hidden"])
    cell = layers_of([spec] * sizes["jobs"])[0]

    assert_equals_slow(cell, slow_skip(kind), spec, sizes)


@given(kind=st.sampled_from(EVERY_KIND), sizes=drawn_sizes)
def test_cost_is_that_of_the_mean_number_of_updates(kind: str, sizes: Sizes) -> None:
    """The gradient of 0.3 times the updates of a sequence comes on top, in each job its own."""
    jobs, sequences = sizes["jobs"], sizes["sequences"]
    costs = [0.3, 0.0, 0.7][:jobs]
    cell = layers_of([skip_spec(kind, cost, sizes["hidden"]) for cost in costs])[0]
    drawn = drawn_run(cell, skip_spec(kind, hidden=sizes["hidden"]), sizes)
    ours, _ = run_layer(
        cell, LayerRun(drawn.x, drawn.parameters, torch.zeros_like(drawn.grad_h), drawn.initial)
    )
    for job, cost in enumerate(costs):
        run = drawn.of_job(job)
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in run.parameters.items()}
        initial = tuple(part.clone().requires_grad_() for part in run.initial)
        updates: list[Tensor] = []
        slow_skip(kind, updates)(run.x, [leaves] * len(run.x), initial)
        total = cost * torch.stack(updates).sum() / sequences
        expected = torch.autograd.grad(total, [*leaves.values()], materialize_grads=True)

        for name, gradient in zip(leaves, expected, strict=True):
            close(ours[f"gradient of {name}"][job], gradient)


@pytest.mark.parametrize("kind", KINDS)
def test_gate_that_is_held_open_leaves_torchs_own_cell(kind: str) -> None:
    """With b = 50 every step updates: outputs and gradients are those of torch.nn."""
    sizes = {"jobs": 1, "time_steps": 9, "sequences": 2, "hidden": 4, "seed": 2}
    cell = layers_of([skip_spec(kind)])[0]
    drawn = drawn_run(cell, skip_spec(kind), sizes)
    parameters = drawn.parameters | {"skip_bias": torch.full((1, 1), 50.0, dtype=torch.float64)}
    ours, flow = run_layer(cell, LayerRun(drawn.x, parameters, drawn.grad_h))
    modules = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
    module = modules[kind](INPUTS, 4, dtype=torch.float64)
    named = {name.removesuffix("_l0"): weight for name, weight in module.named_parameters()}
    for name, weight in named.items():
        weight.data.copy_(parameters[name][0])
    h_TBH, _ = module(drawn.x[0])
    expected = torch.autograd.grad(h_TBH, list(named.values()), drawn.grad_h[0])

    close(ours["h"][0], h_TBH)
    for name, gradient in zip(named, expected, strict=True):
        close(ours[f"gradient of {name}"][0], gradient)
    assert flow.update_fraction_K is not None
    assert flow.update_fraction_K.tolist() == [1.0]


def test_skipping_unit_by_hand() -> None:
    """Rate 0.4: it updates, skips, updates; h = 1, 1, 2, and each path of dL/dh_3 = 1 counts.

    p = 1, 0.4, 0.8. Back: dL/dp_3 = 2 - 1 = 1, for h_3 would be 2 or 1. It goes on to d_2 and p_2
    by p_3 = p_2 + d_2; u_2 has d_2 - p_2 - d_2 = -0.4 of it, and 1 by h_2, which would be 2 or 1.
    So dL/dp_2 = dL/dd_1 = 1 + 0.6, and dL/db = (1 + 1.6) * d(1-d) = 2.6 * 0.24.
    """
    nonlinearity = make_nonlinearity([Relu(kind="relu")], torch.device("cpu"), torch.float64)
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    parameters = {
        "weight_ih": one, "weight_hh": one, "bias_ih": zero, "bias_hh": zero,
        "skip_weight": 0 * one, "skip_bias": zero + math.log(0.4 / 0.6),
    }  # fmt: skip
    x_KTBI = torch.ones(1, 3, 1, 1, dtype=torch.float64)
    grad_h_KTBH = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).view(1, 3, 1, 1)
    cell = SkippingCell(RnnReference(nonlinearity), torch.zeros(1, 1, 1, dtype=torch.float64))
    outcome, flow = run_layer(cell, LayerRun(x_KTBI, parameters, grad_h_KTBH))

    assert outcome["h"].flatten().tolist() == [1.0, 1.0, 2.0]
    assert flow.update_fraction_K is not None
    assert flow.update_fraction_K.item() == pytest.approx(2 / 3)
    assert outcome["norm of dL/dh_t"].flatten().tolist() == [1.0, 1.0, 1.0]
    assert outcome["gradient of weight_hh"].item() == 1.0
    assert outcome["gradient of skip_bias"].item() == pytest.approx(2.6 * 0.24)
    assert outcome["gradient of skip_weight"].item() == pytest.approx(2.6 * 0.24)


def test_skipped_input_changes_nothing() -> None:
    """What is read while a sequence copies its state is not seen by any later state."""
    spec = skip_spec("gru")
    cell = layers_of([spec])[0]
    sizes = {"jobs": 1, "time_steps": 4, "sequences": 1, "hidden": 4, "seed": 5}
    drawn = drawn_run(cell, spec, sizes)
    # A rate of 0.4 whatever the state: the second step is a copy.
    parameters = drawn.parameters | {
        "skip_weight": torch.zeros_like(drawn.parameters["skip_weight"]),
        "skip_bias": torch.full((1, 1), math.log(0.4 / 0.6), dtype=torch.float64),
    }
    other = drawn.x.clone()
    other[:, 1] += 1
    h_KTBH = cell.forward(drawn.x, parameters).h_KTBH

    assert torch.equal(cell.forward(other, parameters).h_KTBH, h_KTBH)
    assert torch.equal(h_KTBH[:, 0], h_KTBH[:, 1])
    assert not torch.equal(h_KTBH[:, 1], h_KTBH[:, 2])
