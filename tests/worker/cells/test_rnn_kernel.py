"""The RNN's kernel for the CPU against its reference, both in float32, whatever the activation.

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units.
"""

import pytest
import torch
from hypothesis import given
from torch import Tensor

from contract.spec import JobSpec, ModRelu
from tests.worker.cells.layer_runs import LayerRun, Outcome, Sizes, drawn_sizes, run_layer
from tests.worker.cells.slow_cells import INPUTS, drawn_parameters, normal
from worker.cells.cell import RecurrentCell
from worker.cells.registry import make_layers
from worker.cells.rnn.cpu import RnnCpu
from worker.cells.rnn.reference import RnnReference
from worker.remedies.activations import make_nonlinearity

CPU = torch.device("cpu")
ACTIVATIONS = ("tanh", "relu", "leaky_relu", "mod_relu")
SKIPS: list[dict[str, object] | None] = [
    None,
    {"kind": "residual", "lag": 3},
    {"kind": "dilated", "base": 3},
    {"kind": "learned"},
]


def spec_with(activation: str, hidden: int, skip: dict[str, object] | None = None) -> JobSpec:
    """Two layers; the slope is one that shows."""
    slope = {"negative_slope": 0.3} if activation == "leaky_relu" else {}
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "adding"},
            "cell": {"kind": "rnn", "hidden_size": hidden, "num_layers": 2},
            "remedy": {"activation": {"kind": activation, **slope}, "skip": skip},
        }
    )


def drawn(spec: JobSpec, sizes: Sizes, *, dtype: torch.dtype = torch.float32) -> LayerRun:
    """A run from a zero state."""
    jobs, seed = sizes["jobs"], sizes["seed"]
    shape = (jobs, sizes["time_steps"], sizes["sequences"])
    named = drawn_parameters(spec, jobs, seed)
    return LayerRun(
        normal(*shape, INPUTS, seed=seed + 20).to(dtype),
        {name: tensor.to(dtype) for name, tensor in named.items()},
        normal(*shape, spec.cell.hidden_size, seed=seed + 30).to(dtype),
    )


def both(spec: JobSpec, jobs: int) -> tuple[RecurrentCell, RecurrentCell]:
    """The kernel and the reference, without any skip."""
    activations = [spec.remedy.activation] * jobs
    nonlinearity = make_nonlinearity(activations, CPU, torch.float32)
    return RnnCpu(nonlinearity), RnnReference(nonlinearity)


def assert_alike(ours: Outcome, expected: Outcome) -> None:
    """Equal within what float32 rounds."""
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4, check_dtype=False)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@given(sizes=drawn_sizes)
def test_kernel_equals_the_reference(activation: str, sizes: Sizes) -> None:
    """States, all gradients and the flow, for any shape and pack."""
    spec = spec_with(activation, sizes["hidden"])
    kernel, reference = both(spec, sizes["jobs"])
    run = drawn(spec, sizes)
    (ours, flow), (expected, its_flow) = run_layer(kernel, run), run_layer(reference, run)

    assert_alike(ours, expected)
    assert torch.equal(flow.saturation_K, its_flow.saturation_K)
    assert (flow.silent_KH is None) == (its_flow.silent_KH is None)
    if flow.silent_KH is not None and its_flow.silent_KH is not None:
        assert torch.equal(flow.silent_KH, its_flow.silent_KH)


@pytest.mark.parametrize("skip", SKIPS, ids=lambda skip: skip["kind"] if skip else "plain")
@given(sizes=drawn_sizes)
def test_float32_is_float64_but_for_rounding(skip: dict[str, object] | None, sizes: Sizes) -> None:
    """A layer with modReLU runs by the kernel as it does by the reference, with any skip."""
    spec = spec_with("mod_relu", sizes["hidden"], skip)
    outcomes = []
    for dtype in (torch.float32, torch.float64):
        cell = make_layers([spec] * sizes["jobs"], CPU, dtype)[1]
        outcomes.append(run_layer(cell, drawn(spec, sizes, dtype=dtype))[0])

    assert_alike(*outcomes)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_job_has_the_same_bits_in_any_company(activation: str) -> None:
    """A pack of three gives each job what it gets alone."""
    spec = spec_with(activation, 5)
    run = drawn(spec, {"jobs": 3, "time_steps": 7, "sequences": 4, "hidden": 5, "seed": 2})
    together, _ = run_layer(both(spec, 3)[0], run)
    for job in range(3):
        rows = slice(job, job + 1)
        own = {name: tensor[rows] for name, tensor in run.parameters.items()}
        alone, _ = run_layer(both(spec, 1)[0], LayerRun(run.x[rows], own, run.grad_h[rows]))

        for name, tensor in alone.items():
            assert torch.equal(together[name][rows], tensor), name


def run_one_unit(x: float, bias: float) -> tuple[Outcome, Tensor]:
    """One step of the kernel with modReLU, W = 1; the outcome and whether the unit was silent."""
    nonlinearity = make_nonlinearity([ModRelu(kind="mod_relu")], CPU, torch.float32)
    one, zero = torch.ones(1, 1, 1), torch.zeros(1, 1)
    parameters = {
        "weight_ih": one, "weight_hh": one, "bias_ih": zero, "bias_hh": zero,
        "activation_bias": zero + bias,
    }  # fmt: skip
    outcome, flow = run_layer(
        RnnCpu(nonlinearity), LayerRun(torch.full((1, 1, 1, 1), x), parameters, one[None])
    )
    assert flow.silent_KH is not None
    return outcome, flow.silent_KH


@pytest.mark.parametrize(
    ("x", "bias", "h", "by_bias"),
    [
        (2.0, -0.5, 1.5, 1.0),
        (-2.0, -0.5, -1.5, -1.0),
        (2.0, -3.0, 0.0, 0.0),
        (0.0, 1.0, 0.0, 0.0),
        (-2.0, 1.0, -3.0, -1.0),
    ],
)
def test_one_unit_of_the_kernel_by_hand(x: float, bias: float, h: float, by_bias: float) -> None:
    """It is sign(x)*max(|x| + b, 0), and dL/db = sign(x); where it is 0, so is dL/db."""
    outcome, silent_KH = run_one_unit(x, bias)

    assert outcome["h"].item() == h
    assert outcome["gradient of activation_bias"].item() == by_bias
    assert outcome["gradient of x"].item() == abs(by_bias)
    assert silent_KH.item() is (h == 0)


@pytest.mark.parametrize(("x", "bias"), [(torch.nan, 1.0), (torch.nan, -1.0), (1.0, torch.nan)])
def test_kernel_keeps_what_is_no_number(x: float, bias: float) -> None:
    """It is not cut to 0, so that the step is refused."""
    assert run_one_unit(x, bias)[0]["h"].isnan().all()
