"""Dilated layers against a slow loop, against plain layers, and in parts."""

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


def slow_dilated(kind: str, dilation: int) -> SlowLayer:
    """A loop in which every step reads the state of `dilation` steps before."""

    def run(x_TBI: Tensor, parameters: Parameters, initial: State) -> tuple[Tensor, State]:
        past = [tuple(part_dBH[place] for part_dBH in initial) for place in range(dilation)]
        for x_BI in x_TBI:
            input_BG = x_BI @ parameters["weight_ih"].T + parameters["bias_ih"]
            past.append(slow_step(kind, input_BG, past[-dilation], parameters))
        h_TBH = torch.stack([state[0] for state in past[dilation:]])
        last = past[len(past) - dilation :]
        return h_TBH, tuple(torch.stack(parts) for parts in zip(*last, strict=True))

    return run


def dilated_spec(kind: str, base: int, hidden: int = 4) -> JobSpec:
    """Two layers, the second one dilated by `base`."""
    return spec_of(kind, {"kind": "dilated", "base": base}, hidden)


@given(kind=st.sampled_from(KINDS), dilation=st.integers(2, 7), sizes=drawn_sizes)
def test_dilated_layer_is_the_loop_with_a_later_state(
    kind: str, dilation: int, sizes: Sizes
) -> None:
    """States and gradients are autograd's, whatever is left over of the last round."""
    spec = dilated_spec(kind, dilation, sizes["hidden"])
    cell = layers_of([spec] * sizes["jobs"])[1]

    assert_equals_slow(cell, slow_dilated(kind, dilation), spec, **sizes)
