"""The gradient's flow against autograd, against theory, and by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.worker.training.tiny_tasks import TinyDataset, tiny_spec
from worker.cells.registry import CELLS
from worker.remedies.activations import make_nonlinearity
from worker.remedies.inits import initialise
from worker.training.flow import (
    FLOW_FLOOR,
    PackFlow,
    measure_activity,
    measure_flow,
    reach,
    state_gradient_norm,
    weight_term_norm,
)
from worker.training.model import stack_batches
from worker.training.pack import Pack
from worker.training.parameters import ParameterLayout

CPU = torch.device("cpu")


def _linear_flow(weight_HH: Tensor, time_steps: int) -> Tensor:
    """Norms of dL/dh_t of a ReLU network whose states are all positive, L = sum of h_T."""
    size = len(weight_HH)
    layout = ParameterLayout("rnn", size, size, 1, 1)
    layer = layout.views(torch.zeros(1, layout.num_parameters, dtype=torch.float64)).layers[0]
    layer.weight_hh[0] = weight_HH
    layer.weight_ih[0] = torch.eye(size, dtype=torch.float64)
    relu = tiny_spec(remedy={"activation": {"kind": "relu"}}).remedy.activation
    cell = CELLS["rnn"](make_nonlinearity([relu], CPU, torch.float64))
    # Inputs that outweigh whatever W_hh h subtracts keep every unit in its linear part.
    x_KTBI = torch.full((1, time_steps, 2, size), 1.0, dtype=torch.float64)
    if (weight_HH < 0).any():
        x_KTBI *= 10.0 ** torch.arange(time_steps).view(1, -1, 1, 1)
    forward = cell.forward(x_KTBI, layer)
    assert (forward.h_KTBH > 0).all()
    grad_h_KTBH = torch.zeros_like(forward.h_KTBH)
    grad_h_KTBH[:, -1] = 1
    return state_gradient_norm(forward.backward(grad_h_KTBH, layer, needs_grad_x=False))[0]


@pytest.mark.parametrize("rho", [0.9, 1.0, 1.1])
def test_scaled_identity_gives_powers(rho: float) -> None:
    """With W = rho*I in the linear part, k steps back the gradient is rho^k of the last one."""
    norm_T = _linear_flow(rho * torch.eye(4, dtype=torch.float64), 100)
    expected_T = rho ** torch.arange(99, -1, -1, dtype=torch.float64)

    torch.testing.assert_close(norm_T / norm_T[-1], expected_T, rtol=1e-12, atol=0)


def test_scaled_orthogonal_gives_powers() -> None:
    """Any orthogonal matrix times rho shrinks the gradient by rho a step."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(4, 4, generator=generator, dtype=torch.float64)
    orthogonal: Tensor = torch.linalg.qr(drawn).Q
    norm_T = _linear_flow(0.9 * orthogonal, 12)
    expected_T = 0.9 ** torch.arange(11, -1, -1, dtype=torch.float64)

    torch.testing.assert_close(norm_T / norm_T[-1], expected_T, rtol=1e-12, atol=0)


def _pack_flow(kind: str) -> tuple[PackFlow, Pack, Tensor, Tensor, Tensor]:
    """Flow of a two-layer network, and what autograd needs to find the same."""
    pack = Pack([(tiny_spec(kind, seed=seed), TinyDataset(seed)) for seed in (1, 2)])
    model = pack.model(CPU, torch.float64)
    parameters_KP = pack.initial_parameters(torch.float64) * 2
    parameters = pack.layout.views(parameters_KP)
    gradients = pack.layout.views(torch.zeros_like(parameters_KP))
    batches = [dataset.batch(1, 4) for dataset in pack.datasets]
    x_KTBI, target = stack_batches(batches, CPU, torch.float64)
    forward = model.forward(x_KTBI, parameters)
    activity = measure_activity(forward.layers)
    backwards = model.backward(forward, target, parameters, gradients)
    flow = measure_flow(forward.layers, backwards, activity, parameters)
    return flow, pack, parameters_KP, x_KTBI, target


def _load(module: nn.Module, named: dict[str, Tensor], layer: int) -> None:
    for name, parameter in module.named_parameters():
        parameter.data.copy_(named[f"rnn.{name}_l{layer}"])


@pytest.mark.parametrize(("kind", "cell"), [("rnn", nn.RNNCell), ("gru", nn.GRUCell)])
def test_flow_equals_retained_gradients(
    kind: str, cell: type[nn.RNNCell] | type[nn.GRUCell]
) -> None:
    """In every layer and at every step the norm is that of h_t.grad in a loop of torch's cells."""
    flow, pack, parameters_KP, x_KTBI, target = _pack_flow(kind)
    for job in range(2):
        named = pack.layout.named(parameters_KP[job])
        states: list[list[Tensor]] = []
        below = list(x_KTBI[job])
        for layer in range(2):
            module = cell(below[0].shape[1], 5, dtype=torch.float64)
            _load(module, named, layer)
            state = torch.zeros(4, 5, dtype=torch.float64)
            states.append([])
            for x_BI in below:
                state = module(x_BI, state)
                state.retain_grad()
                states[layer].append(state)
            below = states[layer]
        prediction = nn.functional.linear(below[-1], named["readout.weight"], named["readout.bias"])
        nn.functional.mse_loss(prediction, target[job]).backward()  # type: ignore[no-untyped-call]
        expected_LT = [[_gradient_norm(state) for state in layer] for layer in states]

        np.testing.assert_allclose(flow.grad_norm_KLT[job], expected_LT, rtol=1e-10)


def _gradient_norm(tensor: Tensor) -> float:
    assert tensor.grad is not None
    return float(tensor.grad.norm())


def test_lstm_flow_is_of_both_states() -> None:
    """An LSTM's norm is that of h_t.grad with what c_t hands on to the next step."""
    flow, pack, parameters_KP, x_KTBI, target = _pack_flow("lstm")
    named = pack.layout.named(parameters_KP[0])
    outputs: list[list[Tensor]] = []
    carried: list[list[Tensor]] = []
    below = list(x_KTBI[0])
    for layer in range(2):
        module = nn.LSTMCell(below[0].shape[1], 5, dtype=torch.float64)
        _load(module, named, layer)
        h = torch.zeros(4, 5, dtype=torch.float64)
        c = torch.zeros(4, 5, dtype=torch.float64)
        outputs.append([])
        carried.append([])
        for x_BI in below:
            h, c = module(x_BI, (h, c))
            c = c.clone()  # the copy has only the gradient that comes from the next step
            h.retain_grad()
            c.retain_grad()
            outputs[layer].append(h)
            carried[layer].append(c)
        below = outputs[layer]
    prediction = nn.functional.linear(below[-1], named["readout.weight"], named["readout.bias"])
    nn.functional.mse_loss(prediction, target[0]).backward()  # type: ignore[no-untyped-call]
    expected_LT = [
        [
            math.hypot(_gradient_norm(h), 0.0 if c.grad is None else _gradient_norm(c))
            for h, c in zip(outputs[layer], carried[layer], strict=True)
        ]
        for layer in range(2)
    ]

    np.testing.assert_allclose(flow.grad_norm_KLT[0], expected_LT, rtol=1e-10)


def test_flow_record_holds_one_jobs_numbers() -> None:
    """The record of a job has its own rows, a reach a layer, and no dead units for tanh."""
    flow, pack, *_ = _pack_flow("rnn")
    record = flow.record(7, 1)

    assert record.step == 7
    assert record.grad_norm_LT.shape == record.weight_term_norm_LT.shape == (2, 6)
    np.testing.assert_array_equal(record.grad_norm_LT, flow.grad_norm_KLT[1])
    assert len(record.reach_L) == pack.layout.num_layers
    assert record.dead_fraction is None
    assert record.spectral_radius is not None


def test_weight_terms_by_hand() -> None:
    """One unit: the term of step t is delta_t * h_{t-1} summed over the batch, at t = 1 none."""
    h_KTBH = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=torch.float64)
    delta_KTBG = torch.tensor([[9.0, 9.0], [1.0, -1.0], [2.0, 1.0]], dtype=torch.float64)
    norm_KT = weight_term_norm(h_KTBH.view(1, 3, 2, 1), delta_KTBG.view(1, 3, 2, 1))

    assert norm_KT.tolist() == [[0.0, 1.0, 10.0]]


@pytest.mark.parametrize(
    ("norms", "expected"),
    [
        ([5.0, 0.005, 0.01, 0.5, 1.0], 3),
        ([1.0, 1.0], 2),
        ([3.0, 0.0], 0),
        ([0.0, 0.0, 1.0], 1),
        ([1.0, math.nan], 0),
        ([1.0, math.nan, 1.0], 1),
        ([math.inf, math.inf], 2),
        ([FLOW_FLOOR / 2, FLOW_FLOOR], 1),
    ],
)
def test_reach_counts_back_to_the_first_missed_step(norms: list[float], expected: int) -> None:
    """Consecutive steps from the last, each with 1 % of its norm and not under the floor."""
    assert reach(np.array(norms)) == expected


def test_default_tanh_network_forgets_at_once() -> None:
    """The default start, H = 64: spectral radius near 1/sqrt(3), reach under 16 of 100."""
    spec = tiny_spec()
    layout = ParameterLayout("rnn", 2, 64, 1, 1)
    parameters_KP = torch.zeros(1, layout.num_parameters)
    initialise(
        layout.views(parameters_KP[0]).layers,
        spec.cell,
        spec.remedy,
        torch.Generator().manual_seed(0),
    )
    network = layout.views(parameters_KP)
    network.weight.fill_(0.1)
    model = Pack([(spec, TinyDataset())]).model(CPU, torch.float32)
    batch = TinyDataset(seq_len=100).batch(1, 32)
    x_KTBI, target = stack_batches([batch], CPU, torch.float32)
    forward = model.forward(x_KTBI, network)
    activity = measure_activity(forward.layers)
    gradients = layout.views(torch.zeros_like(parameters_KP))
    backwards = model.backward(forward, target, network, gradients)
    record = measure_flow(forward.layers, backwards, activity, network).record(1, 0)

    assert record.spectral_radius is not None
    assert 0.5 <= record.spectral_radius <= 0.7
    assert 1 <= record.reach_L[0] <= 15
    assert record.saturation is not None
    assert record.saturation < 0.1
