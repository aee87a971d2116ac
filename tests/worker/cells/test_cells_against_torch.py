"""Every cell against torch's own, against finite differences, and by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.worker.cells.drawn_layers import (
    CPU,
    NUM_STATES,
    Activation,
    draw_layer,
    empty_like,
    make_cell,
    make_spec,
    normal,
)
from worker.cells.cell import RecurrentCell
from worker.cells.registry import make_layers
from worker.training.parameters import NetworkParameters, ParameterLayout

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


def _run(
    cells: tuple[RecurrentCell, ...],
    x_KTBI: Tensor,
    grad_h_KTBH: Tensor,
    network: NetworkParameters,
    gradients: NetworkParameters,
) -> tuple[Tensor, Tensor]:
    """Stacked layers forward and back: the top layer's output and the gradient of x."""
    passes = []
    output_KTBH = x_KTBI
    for cell, layer in zip(cells, network.layers, strict=True):
        passes.append(cell.forward(output_KTBH, layer))
        output_KTBH = passes[-1].h_KTBH
    grad = grad_h_KTBH
    for forward, gradient in reversed(list(zip(passes, gradients.layers, strict=True))):
        back = forward.backward(grad, gradient, needs_grad_x=True, measure=False)
        assert back.grad_x_KTBI is not None
        grad = back.grad_x_KTBI
    return output_KTBH, grad


def _assert_equals_torch(
    kind: str, activation: Activation | None, module: nn.RNNBase, shape: dict[str, int]
) -> None:
    """Values, gradients of all parameters and of x, for every job."""
    jobs, time_steps, sequences, seed = (
        shape[name] for name in ("jobs", "time_steps", "sequences", "seed")
    )
    spec = make_spec(
        kind, hidden_size=shape["hidden"], num_layers=shape["layers"], activation=activation
    )
    layout = ParameterLayout(spec, shape["inputs"], 1)
    buffer_KP = normal(jobs, layout.num_parameters, seed=seed, scale=0.5)
    gradients_KP = torch.full_like(buffer_KP, torch.nan)
    x_KTBI = normal(jobs, time_steps, sequences, shape["inputs"], seed=seed + 1)
    grad_h_KTBH = normal(jobs, time_steps, sequences, shape["hidden"], seed=seed + 2)
    cells = make_layers([spec] * jobs, CPU, torch.float64)
    output_KTBH, grad_x_KTBI = _run(
        cells, x_KTBI, grad_h_KTBH, layout.views(buffer_KP), layout.views(gradients_KP)
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
    _assert_equals_torch("rnn", {"kind": "relu"}, module, shape)


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
    The tensors are x, the initial state and the parameters, of which `names` are the names.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        cell: RecurrentCell,
        names: list[str],
        *tensors: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.cell, ctx.names = cell, names  # type: ignore[attr-defined]
        ctx.save_for_backward(*tensors)
        x_KTBI, *initial = tensors[: -len(names)]
        parameters = dict(zip(names, tensors[-len(names) :], strict=True))
        forward = cell.forward(x_KTBI, parameters, tuple(initial))
        return forward.h_KTBH, *(state_KBH.clone() for state_KBH in forward.final_state)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, grad_h_KTBH: Tensor, *grad_final: Tensor
    ) -> tuple[Tensor | None, ...]:
        tensors, names = ctx.saved_tensors, ctx.names  # type: ignore[attr-defined]
        x_KTBI, *initial = tensors[: -len(names)]
        parameters = dict(zip(names, tensors[-len(names) :], strict=True))
        gradients = empty_like(parameters)
        forward = ctx.cell.forward(x_KTBI, parameters, tuple(initial))  # type: ignore[attr-defined]
        back = forward.backward(
            grad_h_KTBH, gradients, grad_final=grad_final, needs_grad_x=True, measure=False
        )
        return None, None, back.grad_x_KTBI, *back.grad_initial, *gradients.values()


@pytest.mark.parametrize(
    ("kind", "activation"),
    [
        ("rnn", {"kind": "tanh"}),
        ("rnn", {"kind": "relu"}),
        ("rnn", {"kind": "leaky_relu", "negative_slope": 0.3}),
        ("rnn", {"kind": "mod_relu"}),
        ("gru", None),
        ("lstm", None),
    ],
)
def test_backward_is_the_derivative(kind: str, activation: Activation | None) -> None:
    """The backward pass agrees with finite differences of the forward pass, from state to state."""
    spec = make_spec(kind, activation=activation)
    layer = draw_layer(spec, inputs=2, jobs=2, seed=3)
    x_KTBI = normal(2, 4, 2, 2, seed=4)
    initial = [normal(2, 2, 3, seed=5 + part) for part in range(NUM_STATES[kind])]
    tensors = [tensor.clone().requires_grad_() for tensor in (x_KTBI, *initial, *layer.values())]
    cell = make_cell([spec, spec])

    assert torch.autograd.gradcheck(
        lambda *tensors: _OneLayer.apply(cell, list(layer), *tensors),  # type: ignore[no-untyped-call]
        tensors,
    )


def test_leaky_slopes_are_each_jobs_own() -> None:
    """Two jobs with different slopes run as they would alone."""
    specs = [
        make_spec("rnn", activation={"kind": "leaky_relu", "negative_slope": slope})
        for slope in (0.1, 0.7)
    ]
    layer = draw_layer(specs[0], inputs=2, jobs=2, seed=5, scale=1.0)
    x_KTBI = normal(2, 4, 2, 2, seed=6)
    together_KTBH = make_cell(specs).forward(x_KTBI, layer).h_KTBH
    for job in range(2):
        rows = slice(job, job + 1)
        own = {name: tensor[rows] for name, tensor in layer.items()}
        alone_KTBH = make_cell(specs[rows]).forward(x_KTBI[rows], own).h_KTBH

        torch.testing.assert_close(together_KTBH[rows], alone_KTBH, rtol=1e-13, atol=0)


def test_leaky_rnn_by_hand() -> None:
    """One unit, w=2, u=1, slope 1/2, x=(-2, 3): h=(-1, 1); dL/dh_2=1 gives dL/dw=-1, dL/du=1."""
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    layer = {"weight_ih": one, "weight_hh": 2 * one, "bias_ih": zero, "bias_hh": zero}
    gradients = empty_like(layer)
    leaky: Activation = {"kind": "leaky_relu", "negative_slope": 0.5}
    cell = make_cell([make_spec("rnn", hidden_size=1, activation=leaky)])
    x_KTBI = torch.tensor([-2.0, 3.0], dtype=torch.float64).view(1, 2, 1, 1)
    forward = cell.forward(x_KTBI, layer)
    forward.backward(one[None], gradients, needs_grad_x=False, measure=False)

    assert forward.h_KTBH.flatten().tolist() == [-1.0, 1.0]
    # By the path of the first step: dL/dh_1 = 2, dL/da_1 = 1.
    assert gradients["weight_hh"].item() == -1.0
    assert gradients["weight_ih"].item() == 3.0 * 1 + -2.0 * 1
    assert gradients["bias_ih"].item() == gradients["bias_hh"].item() == 2.0
