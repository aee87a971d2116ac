"""Skip RNN layers against a slow loop, against plain layers, by hand, and in parts."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from contract.spec import JobSpec
from tests.worker.cells.slow_cells import (
    INPUTS,
    KINDS,
    Parameters,
    SlowLayer,
    assert_equals_slow,
    close,
    drawn_parameters,
    drawn_sizes,
    layers_of,
    normal,
    run_layer,
    slow_step,
    spec_of,
)
from worker.cells.cell import State

Sizes = dict[str, int]


class _Round(torch.autograd.Function):
    """Rounding that passes its gradient straight through."""

    @staticmethod
    def forward(_: torch.autograd.function.FunctionCtx, p: Tensor) -> Tensor:
        return torch.round(p)

    @staticmethod
    def backward(_: torch.autograd.function.FunctionCtx, grad: Tensor) -> Tensor:
        return grad


def slow_skip(kind: str) -> SlowLayer:
    """The equations of Campos et al. in a loop."""

    def run(x_TBI: Tensor, parameters: Parameters, initial: State) -> tuple[Tensor, State]:
        state, p_B1 = initial[:-1], initial[-1]
        outputs = []
        for x_BI in x_TBI:
            input_BG = x_BI @ parameters["weight_ih"].T + parameters["bias_ih"]
            proposed = slow_step(kind, input_BG, state, parameters)
            u_B1 = _Round.apply(p_B1)  # type: ignore[no-untyped-call]
            state = tuple(
                u_B1 * new + (1 - u_B1) * old for new, old in zip(proposed, state, strict=True)
            )
            d_B1 = torch.sigmoid(state[-1] @ parameters["skip_weight"].T + parameters["skip_bias"])
            p_B1 = u_B1 * d_B1 + (1 - u_B1) * (p_B1 + torch.minimum(d_B1, 1 - p_B1))
            outputs.append(state[0])
        return torch.stack(outputs), (*state, p_B1)

    return run


def skip_spec(kind: str, cost: float = 0.0, hidden: int = 4) -> JobSpec:
    """Two layers that learn when to update."""
    return spec_of(kind, {"kind": "learned", "cost": cost}, hidden)


@given(kind=st.sampled_from(KINDS), sizes=drawn_sizes)
def test_skipping_layer_is_the_papers_loop(kind: str, sizes: Sizes) -> None:
    """States and straight-through gradients are those of autograd through the equations."""
    spec = skip_spec(kind, hidden=sizes["hidden"])
    cell = layers_of([spec] * sizes["jobs"])[0]

    assert_equals_slow(cell, slow_skip(kind), spec, **sizes)
