"""Every cell against torch's own, against finite differences, and by hand."""

from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from contract.spec import Activation, LeakyRelu, Relu, Tanh
from worker.cells.cell import RecurrentCell
from worker.cells.registry import CELLS
from worker.remedies.activations import make_nonlinearity
from worker.training.parameters import LayerParameters, NetworkParameters, ParameterLayout

Kind = Literal["rnn", "gru", "lstm"]
KINDS: tuple[Kind, ...] = ("rnn", "gru", "lstm")
CPU = torch.device("cpu")
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

shapes = st.fixed_dictionaries(
    {
        "jobs": st.integers(1, 3),
        "time_steps": st.integers(1, 9),
        "sequences": st.integers(1, 4),
        "inputs": st.integers(1, 3),
        "hidden": st.integers(1, 7),
        "layers": st.integers(1, 3),
        "seed": st.integers(0, 10_000),
    }
)


def _normal(*shape: int, seed: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64) * scale


def _run(
    cell: RecurrentCell,
    x_KTBI: Tensor,
    grad_h_KTBH: Tensor,
    network: NetworkParameters,
    gradients: NetworkParameters,
) -> tuple[Tensor, Tensor]:
    """Stacked layers forward and back: the top layer's output and the gradient of x."""
    passes = []
    output_KTBH = x_KTBI
    for layer in network.layers:
        passes.append(cell.forward(output_KTBH, layer))
        output_KTBH = passes[-1].h_KTBH
    grad = grad_h_KTBH.clone()
    for forward, gradient in reversed(list(zip(passes, gradients.layers, strict=True))):
        grad_x = forward.backward(grad, gradient, needs_grad_x=True).grad_x_KTBI
        assert grad_x is not None
        grad = grad_x
    return output_KTBH, grad


def _assert_equals_torch(
    kind: Kind, activation: Activation | None, module: nn.RNNBase, shape: dict[str, int]
) -> None:
    """Values, gradients of all parameters and of x, for every job."""
    layout = ParameterLayout(kind, shape["inputs"], shape["hidden"], shape["layers"], 1)
    jobs, time_steps, sequences, seed = (
        shape[name] for name in ("jobs", "time_steps", "sequences", "seed")
    )
    buffer_KP = _normal(jobs, layout.num_parameters, seed=seed, scale=0.5)
    gradients_KP = torch.full_like(buffer_KP, torch.nan)
    x_KTBI = _normal(jobs, time_steps, sequences, shape["inputs"], seed=seed + 1)
    grad_h_KTBH = _normal(jobs, time_steps, sequences, shape["hidden"], seed=seed + 2)
    cell = CELLS[kind](make_nonlinearity([activation] * jobs, CPU, torch.float64))
    output_KTBH, grad_x_KTBI = _run(
        cell, x_KTBI, grad_h_KTBH, layout.views(buffer_KP), layout.views(gradients_KP)
    )
    for job in range(jobs):
        named = layout.named(buffer_KP[job])
        parameters = dict(module.named_parameters())
        for name, parameter in parameters.items():
            parameter.data.copy_(named[f"rnn.{name}"])
        x_TBI = x_KTBI[job].clone().requires_grad_()
        expected_TBH, _ = module(x_TBI)
        grads = torch.autograd.grad(expected_TBH, [x_TBI, *parameters.values()], grad_h_KTBH[job])
        ours = [grad_x_KTBI[job]]
        ours += [layout.named(gradients_KP[job])[f"rnn.{name}"] for name in parameters]

        torch.testing.assert_close(output_KTBH[job], expected_TBH, rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(ours, list(grads), rtol=1e-10, atol=1e-13)


@settings(max_examples=25, deadline=None)
@given(shape=shapes)
def test_rnn_equals_torch(shape: dict[str, int]) -> None:
    """A tanh RNN has torch's values and gradients, for any shape, depth and pack."""
    module = nn.RNN(shape["inputs"], shape["hidden"], shape["layers"], dtype=torch.float64)
    _assert_equals_torch("rnn", None, module, shape)


@settings(max_examples=25, deadline=None)
@given(shape=shapes)
def test_relu_rnn_equals_torch(shape: dict[str, int]) -> None:
    """A ReLU RNN has torch's values and gradients, for any shape, depth and pack."""
    module = nn.RNN(
        shape["inputs"],
        shape["hidden"],
        shape["layers"],
        nonlinearity="relu",
        dtype=torch.float64,
    )
    _assert_equals_torch("rnn", Relu(kind="relu"), module, shape)


@settings(max_examples=25, deadline=None)
@given(shape=shapes)
def test_gru_equals_torch(shape: dict[str, int]) -> None:
    """A GRU has torch's values and gradients, for any shape, depth and pack."""
    module = nn.GRU(shape["inputs"], shape["hidden"], shape["layers"], dtype=torch.float64)
    _assert_equals_torch("gru", None, module, shape)


@settings(max_examples=25, deadline=None)
@given(shape=shapes)
def test_lstm_equals_torch(shape: dict[str, int]) -> None:
    """An LSTM has torch's values and gradients, for any shape, depth and pack."""
    module = nn.LSTM(shape["inputs"], shape["hidden"], shape["layers"], dtype=torch.float64)
    _assert_equals_torch("lstm", None, module, shape)


class _OneLayer(torch.autograd.Function):
    """One layer's hand-written passes as an autograd function, for gradcheck.

    gradcheck goes back several times over one forward pass, ours can once: so it is run again.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, cell: RecurrentCell, *tensors: Tensor
    ) -> Tensor:
        ctx.cell = cell  # type: ignore[attr-defined]
        ctx.save_for_backward(*tensors)
        return cell.forward(tensors[0], LayerParameters(*tensors[1:])).h_KTBH

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, grad_h_KTBH: Tensor
    ) -> tuple[Tensor | None, ...]:
        x_KTBI, *tensors = ctx.saved_tensors  # type: ignore[attr-defined]
        gradients = [torch.empty_like(tensor) for tensor in tensors]
        forward = ctx.cell.forward(x_KTBI, LayerParameters(*tensors))  # type: ignore[attr-defined]
        back = forward.backward(grad_h_KTBH.clone(), LayerParameters(*gradients), needs_grad_x=True)
        return None, back.grad_x_KTBI, *gradients


@pytest.mark.parametrize(
    ("kind", "activation"),
    [
        ("rnn", Tanh(kind="tanh")),
        ("rnn", Relu(kind="relu")),
        ("rnn", LeakyRelu(kind="leaky_relu", negative_slope=0.3)),
        ("gru", None),
        ("lstm", None),
    ],
)
def test_backward_is_the_derivative(kind: Kind, activation: Activation | None) -> None:
    """The backward pass agrees with finite differences of the forward pass."""
    layout = ParameterLayout(kind, 2, 3, 1, 1)
    layer = layout.views(_normal(2, layout.num_parameters, seed=3, scale=0.5)).layers[0]
    inputs = [getattr(layer, name).clone().requires_grad_() for name in NAMES]
    x_KTBI = _normal(2, 4, 2, 2, seed=4).requires_grad_()

    cell = CELLS[kind](make_nonlinearity([activation] * 2, CPU, torch.float64))

    assert torch.autograd.gradcheck(
        lambda *tensors: _OneLayer.apply(cell, *tensors),  # type: ignore[no-untyped-call]
        (x_KTBI, *inputs),
    )


def test_leaky_slopes_are_each_jobs_own() -> None:
    """Two jobs with different slopes run as they would alone."""
    layout = ParameterLayout("rnn", 2, 3, 1, 1)
    buffer_KP = _normal(2, layout.num_parameters, seed=5)
    x_KTBI = _normal(2, 4, 2, 2, seed=6)
    leaky = [LeakyRelu(kind="leaky_relu", negative_slope=slope) for slope in (0.1, 0.7)]
    packed = CELLS["rnn"](make_nonlinearity(leaky, CPU, torch.float64))
    together_KTBH = packed.forward(x_KTBI, layout.views(buffer_KP).layers[0]).h_KTBH
    for job in range(2):
        rows = slice(job, job + 1)
        single = CELLS["rnn"](make_nonlinearity(leaky[rows], CPU, torch.float64))
        alone_KTBH = single.forward(x_KTBI[rows], layout.views(buffer_KP[rows]).layers[0]).h_KTBH

        torch.testing.assert_close(together_KTBH[rows], alone_KTBH, rtol=1e-13, atol=0)


def test_leaky_rnn_by_hand() -> None:
    """One unit, w=2, u=1, slope 1/2, x=(-2, 3): h=(-1, 1); dL/dh_2=1 gives dL/dw=-1, dL/du=1."""
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    layer = LayerParameters(one, 2 * one, zero, zero.clone())
    gradients = LayerParameters(*(torch.zeros_like(getattr(layer, name)) for name in NAMES))
    leaky = LeakyRelu(kind="leaky_relu", negative_slope=0.5)
    cell = CELLS["rnn"](make_nonlinearity([leaky], CPU, torch.float64))
    x_KTBI = torch.tensor([-2.0, 3.0], dtype=torch.float64).view(1, 2, 1, 1)
    forward = cell.forward(x_KTBI, layer)
    grad_h_KTBH = torch.tensor([0.0, 1.0], dtype=torch.float64).view(1, 2, 1, 1)
    forward.backward(grad_h_KTBH, gradients, needs_grad_x=False)

    assert forward.h_KTBH.flatten().tolist() == [-1.0, 1.0]
    # By the path of the first step: dL/dh_1 = 2, dL/da_1 = 1.
    assert gradients.weight_hh.item() == -1.0
    assert gradients.weight_ih.item() == 3.0 * 1 + -2.0 * 1
    assert gradients.bias_ih.item() == gradients.bias_hh.item() == 2.0


def test_unknown_mix_of_activations_is_refused() -> None:
    """A pack has one kind of activation."""
    with pytest.raises(ValueError, match="one kind"):
        make_nonlinearity([None, Relu(kind="relu")], CPU, torch.float64)


def test_tanh_saturation_counts_flat_ends() -> None:
    """One of four activations above 0.97 is a share of a quarter."""
    nonlinearity = make_nonlinearity([None], CPU, torch.float64)
    h_KTBH = torch.tensor([0.5, -0.98, 0.97, 0.0], dtype=torch.float64).view(1, 2, 1, 2)

    assert nonlinearity.saturation(h_KTBH).tolist() == [0.25]
    assert nonlinearity.dead_fraction(h_KTBH) is None


def test_relu_unit_is_dead_if_always_zero() -> None:
    """Of two units, the one that is 0 over batch and time is dead, and nothing is saturated."""
    nonlinearity = make_nonlinearity([Relu(kind="relu")], CPU, torch.float64)
    h_KTBH = torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=torch.float64).view(1, 2, 1, 2)
    dead_K = nonlinearity.dead_fraction(h_KTBH)

    assert dead_K is not None
    assert dead_K.tolist() == [0.5]
    assert nonlinearity.saturation(h_KTBH).tolist() == [0.0]


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_gates_held_shut_are_saturated(kind: Kind) -> None:
    """Large biases put every sigmoid gate at its flat end, small ones none."""
    layout = ParameterLayout(kind, 2, 3, 1, 1)
    x_KTBI = _normal(2, 4, 2, 2, seed=7)
    buffer_KP = torch.zeros(2, layout.num_parameters, dtype=torch.float64)
    layer = layout.views(buffer_KP).layers[0]
    layer.bias_ih[1] = 10
    cell = CELLS[kind](make_nonlinearity([None, None], CPU, torch.float64))

    assert cell.forward(x_KTBI, layer).saturation().tolist() == [0.0, 1.0]
