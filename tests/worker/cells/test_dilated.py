"""Dilated layers against a slow loop, against plain layers, and by hand."""

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
from worker.cells.dilated import DilatedCell
from worker.cells.rnn.reference import RnnReference
from worker.remedies.activations import make_nonlinearity


def slow_dilated(kind: str, dilation: int) -> SlowLayer:
    """A loop in which every step reads the state of `dilation` steps before."""

    def run(
        x_TBI: Tensor, parameters_T: Sequence[Parameters], initial: State
    ) -> tuple[list[State], State]:
        past = list(zip(*(part_dBH.unbind() for part_dBH in initial), strict=True))
        for x_BI, parameters in zip(x_TBI, parameters_T, strict=True):
            state = past[-dilation]
            past.append(slow_step(kind, project(x_BI, parameters), state, parameters))
        last = zip(*past[len(past) - dilation :], strict=True)
        return past[dilation:], tuple(torch.stack(part) for part in last)

    return run


def dilated_spec(kind: str, base: int, hidden: int = 4) -> JobSpec:
    """Two layers, the second one dilated by `base`."""
    return spec_of(kind, {"kind": "dilated", "base": base}, hidden)


@given(kind=st.sampled_from(EVERY_KIND), dilation=st.integers(2, 7), sizes=drawn_sizes)
def test_dilated_layer_is_the_loop_with_an_earlier_state(
    kind: str, dilation: int, sizes: Sizes
) -> None:
    """States, gradients and flow are autograd's, whatever is left over of the last round."""
    spec = dilated_spec(kind, dilation, sizes["hidden"])
    cell = layers_of([spec] * sizes["jobs"])[1]

    assert_equals_slow(cell, slow_dilated(kind, dilation), spec, sizes)


@pytest.mark.parametrize("kind", KINDS)
def test_first_layer_is_not_dilated(kind: str) -> None:
    """The layer that reads the input runs as one without a skip."""
    sizes = {"jobs": 2, "time_steps": 5, "sequences": 2, "hidden": 4, "seed": 1}
    plain, dilated = (
        layers_of([spec] * 2)[0] for spec in (spec_of(kind, None), dilated_spec(kind, 3))
    )
    drawn = drawn_run(plain, spec_of(kind, None), sizes)
    run = LayerRun(drawn.x, drawn.parameters, drawn.grad_h)
    (expected, flow), (ours, its_flow) = run_layer(plain, run), run_layer(dilated, run)

    for name in ("h", "gradient of x", "gradient of weight_hh", "norm of dL/dh_t"):
        close(ours[name], expected[name])
    close(its_flow.saturation_K, flow.saturation_K)


def one_unit(weight_hh: float) -> dict[str, Tensor]:
    """A unit that adds up its input, W_ih = 1, and keeps `weight_hh` of its state."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    values = {"weight_ih": 1.0, "weight_hh": weight_hh, "bias_ih": 0.0, "bias_hh": 0.0}
    shapes = [(1, 1, 1), (1, 1, 1), (1, 1), (1, 1)]
    return {
        name: torch.full(shape, values[name], dtype=torch.float64)
        for name, shape in zip(names, shapes, strict=True)
    }


def relu_cell(times: int) -> RnnReference:
    """A ReLU cell for so many jobs."""
    activations = [Relu(kind="relu")] * times
    return RnnReference(make_nonlinearity(activations, torch.device("cpu"), torch.float64))


def test_dilated_unit_by_hand() -> None:
    """d=2, w=2, x=(1,2,3): h=(1,2,5); dL/dh_3=1 passes h_2 by, reaches h_1 as 2, dL/dw=h_1=1."""
    ones_KTBH = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).view(1, 3, 1, 1)
    x_KTBI = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).view(1, 3, 1, 1)
    outcome, _ = run_layer(DilatedCell(relu_cell, 2), LayerRun(x_KTBI, one_unit(2.0), ones_KTBH))

    assert outcome["h"].flatten().tolist() == [1.0, 2.0, 5.0]
    assert outcome["norm of dL/dh_t"].flatten().tolist() == [2.0, 0.0, 1.0]
    assert outcome["gradient of weight_hh"].item() == 1.0
    assert outcome["gradient of x"].flatten().tolist() == [2.0, 0.0, 1.0]


def test_unit_of_a_phase_that_wakes_is_not_silent() -> None:
    """d=2, x=(1,-1,-1,-1): the unit is 0 in all but the first phase, so it is not dead."""
    x_KTBI = torch.tensor([1.0, -1.0, -1.0, -1.0], dtype=torch.float64).view(1, 4, 1, 1)
    cell = DilatedCell(relu_cell, 2)
    _, awake = run_layer(cell, LayerRun(x_KTBI, one_unit(0.0), torch.ones_like(x_KTBI)))
    _, dead = run_layer(cell, LayerRun(-x_KTBI.abs(), one_unit(0.0), torch.ones_like(x_KTBI)))

    assert awake.silent_KH is not None
    assert dead.silent_KH is not None
    assert (awake.silent_KH.item(), dead.silent_KH.item()) == (False, True)


def test_leaky_slopes_are_each_jobs_own_in_every_phase() -> None:
    """Two jobs with different slopes run dilated as they would alone."""
    sizes = {"jobs": 2, "time_steps": 7, "sequences": 2, "hidden": 4, "seed": 3}
    specs = [
        JobSpec.model_validate(
            dilated_spec("rnn", 3).model_dump()
            | {
                "remedy": {
                    "skip": {"kind": "dilated", "base": 3},
                    "activation": {"kind": "leaky_relu", "negative_slope": slope},
                }
            }
        )
        for slope in (0.1, 0.7)
    ]
    together = layers_of(specs)[1]
    run = drawn_run(together, specs[0], sizes)
    h_KTBH = together.forward(run.x, run.parameters).h_KTBH
    for job in range(2):
        rows = slice(job, job + 1)
        alone = {name: tensor[rows] for name, tensor in run.parameters.items()}
        h_1TBH = layers_of(specs[rows])[1].forward(run.x[rows], alone).h_KTBH

        close(h_KTBH[rows], h_1TBH)
