"""Residual layers against a slow loop, against plain layers, and in parts."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from contract.spec import JobSpec
from tests.worker.cells.slow_cells import (
    KINDS,
    Parameters,
    SlowLayer,
    assert_equals_slow,
    drawn_sizes,
    layers_of,
    slow_step,
    spec_of,
)
from worker.cells.cell import State

Sizes = dict[str, int]


def slow_residual(kind: str, lag: int) -> SlowLayer:
    """A loop in which the gates also read h of `lag` steps before."""

    def run(x_TBI: Tensor, parameters: Parameters, initial: State) -> tuple[Tensor, State]:
        state, past = initial[:-1], list(initial[-1])
        for x_BI in x_TBI:
            input_BG = x_BI @ parameters["weight_ih"].T + parameters["bias_ih"]
            input_BG = input_BG + past[-lag] @ parameters["weight_lag"].T
            state = slow_step(kind, input_BG, state, parameters)
            past.append(state[0])
        return torch.stack(past[lag:]), (*state, torch.stack(past[len(past) - lag :]))

    return run


def residual_spec(kind: str, lag: int, hidden: int = 4) -> JobSpec:
    """Two layers that also read the state of `lag` steps before."""
    return spec_of(kind, {"kind": "residual", "lag": lag}, hidden)


@given(kind=st.sampled_from(KINDS), lag=st.integers(2, 7), sizes=drawn_sizes)
def test_residual_layer_is_the_loop_with_one_more_input(kind: str, lag: int, sizes: Sizes) -> None:
    """States and gradients are autograd's, whatever is left over of the last chunk."""
    spec = residual_spec(kind, lag, sizes["hidden"])
    cell = layers_of([spec] * sizes["jobs"])[0]

    assert_equals_slow(cell, slow_residual(kind, lag), spec, **sizes)
