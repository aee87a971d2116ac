"""A layer's flow against theory and by hand: norms, weight terms, saturation, silent units."""

import pytest
import torch
from torch import Tensor

from contract.spec import Relu
from tests.worker.cells.drawn_layers import (
    CPU,
    draw_layer,
    empty_like,
    make_cell,
    make_spec,
    normal,
)
from worker.cells.cell import LayerPass
from worker.cells.flow import LayerFlow, join_in_time, sum_in_order, weight_term_norm
from worker.remedies.activations import make_nonlinearity
from worker.training.parameters import LayerParameters


def _flow(forward: LayerPass, layer: LayerParameters, grad_h_KSBH: Tensor) -> LayerFlow:
    back = forward.backward(grad_h_KSBH, empty_like(layer), needs_grad_x=False, measure=True)
    assert back.flow is not None
    return back.flow


def _linear_norms(weight_HH: Tensor, time_steps: int) -> Tensor:
    """Norms of dL/dh_t of a ReLU network whose states are all positive, L = sum of h_T."""
    size = len(weight_HH)
    spec = make_spec("rnn", hidden_size=size, activation={"kind": "relu"})
    layer = draw_layer(spec, inputs=size, jobs=1, seed=0, scale=0.0)
    layer["weight_hh"][0] = weight_HH
    layer["weight_ih"][0] = torch.eye(size, dtype=torch.float64)
    # Inputs that outweigh whatever W_hh h subtracts keep every unit in its linear part.
    x_KTBI = torch.ones(1, time_steps, 2, size, dtype=torch.float64)
    if (weight_HH < 0).any():
        x_KTBI *= 10.0 ** torch.arange(time_steps).view(1, -1, 1, 1)
    forward = make_cell([spec]).forward(x_KTBI, layer)
    assert (forward.h_KTBH > 0).all()
    return _flow(forward, layer, torch.ones_like(forward.answers(1))).grad_norm_KT[0]


@pytest.mark.parametrize("rho", [0.9, 1.0, 1.1])
def test_scaled_identity_gives_powers(rho: float) -> None:
    """With W = rho*I in the linear part, k steps back the gradient is rho^k of the last one."""
    norm_T = _linear_norms(rho * torch.eye(4, dtype=torch.float64), 100)
    expected_T = rho ** torch.arange(99, -1, -1, dtype=torch.float64)

    torch.testing.assert_close(norm_T / norm_T[-1], expected_T, rtol=1e-12, atol=0)


def test_scaled_orthogonal_gives_powers() -> None:
    """Any orthogonal matrix times rho shrinks the gradient by rho a step."""
    orthogonal: Tensor = torch.linalg.qr(normal(4, 4, seed=0)).Q
    norm_T = _linear_norms(0.9 * orthogonal, 12)
    expected_T = 0.9 ** torch.arange(11, -1, -1, dtype=torch.float64)

    torch.testing.assert_close(norm_T / norm_T[-1], expected_T, rtol=1e-12, atol=0)


def test_weight_terms_by_hand() -> None:
    """One unit: the term of step t is delta_t * h_{t-1} summed over the batch, at t = 1 none."""
    h_KTBH = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=torch.float64)
    delta_KTBG = torch.tensor([[9.0, 9.0], [1.0, -1.0], [2.0, 1.0]], dtype=torch.float64)
    norm_KT = weight_term_norm(h_KTBH.view(1, 3, 2, 1), delta_KTBG.view(1, 3, 2, 1))

    assert norm_KT.tolist() == [[0.0, 1.0, 10.0]]


def test_first_weight_term_is_of_the_initial_state() -> None:
    """With h_0 = (2, 1) and deltas of (9, 9) the first term is 27."""
    h_KTBH = torch.ones(1, 1, 2, 1, dtype=torch.float64)
    initial_KBH = torch.tensor([2.0, 1.0], dtype=torch.float64).view(1, 2, 1)

    assert weight_term_norm(h_KTBH, 9 * h_KTBH, initial_KBH).tolist() == [[27.0]]


def _made_up_flow(steps: int, saturation: float, silent: list[bool] | None) -> LayerFlow:
    norm_KT = torch.arange(float(steps))[None]
    silent_KH = None if silent is None else torch.tensor([silent])
    return LayerFlow(norm_KT, 10 * norm_KT, torch.tensor([saturation]), silent_KH)


def test_flows_are_joined_by_hand() -> None:
    """Norms follow each other, shares are weighted by steps, and silent is silent in all parts."""
    joined = join_in_time(
        [_made_up_flow(1, 0.5, [True, True, False]), _made_up_flow(3, 0.25, [True, False, True])]
    )

    assert joined.grad_norm_KT.tolist() == [[0, 0, 1, 2]]
    assert joined.weight_term_norm_KT.tolist() == [[0, 0, 10, 20]]
    assert joined.saturation_K.tolist() == [(0.5 + 3 * 0.25) / 4]
    assert joined.silent_KH is not None
    assert joined.silent_KH.tolist() == [[True, False, False]]


def test_joined_flow_has_silent_units_only_if_they_can_die() -> None:
    """Of cells whose units cannot die nothing is said."""
    assert join_in_time([_made_up_flow(2, 0.0, None)] * 2).silent_KH is None


def test_each_sum_is_its_own_to_the_last_bit() -> None:
    """Sums of 20 numbers in 16 columns are those of Python, whatever the columns beside them."""
    numbers = normal(20, 16, seed=0)
    expected = [sum(column[1:], start=column[0]) for column in numbers.T.tolist()]

    assert sum_in_order(numbers.unbind(0)).tolist() == expected


def test_unknown_mix_of_activations_is_refused() -> None:
    """A pack has one kind of activation."""
    with pytest.raises(ValueError, match="one kind"):
        make_nonlinearity([None, Relu(kind="relu")], CPU, torch.float64)


def test_tanh_saturation_counts_flat_ends() -> None:
    """One of four activations above 0.97 is a share of a quarter; a tanh unit cannot die."""
    nonlinearity = make_nonlinearity([None], CPU, torch.float64)
    h_KTBH = torch.tensor([0.5, -0.98, 0.97, 0.0], dtype=torch.float64).view(1, 2, 1, 2)

    assert nonlinearity.saturation(h_KTBH).tolist() == [0.25]
    assert nonlinearity.silent(h_KTBH) is None


def test_relu_unit_is_silent_if_always_zero() -> None:
    """Of two units, the one that is 0 over batch and time is silent, and nothing is saturated."""
    nonlinearity = make_nonlinearity([Relu(kind="relu")], CPU, torch.float64)
    h_KTBH = torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=torch.float64).view(1, 2, 1, 2)
    silent_KH = nonlinearity.silent(h_KTBH)

    assert silent_KH is not None
    assert silent_KH.tolist() == [[True, False]]
    assert nonlinearity.saturation(h_KTBH).tolist() == [0.0]


def test_mod_relu_unit_is_silent_if_its_bias_outweighs_every_input() -> None:
    """Of two units that get the same, the one with b = -9 is silent, and nothing is saturated."""
    spec = make_spec("rnn", hidden_size=2, activation={"kind": "mod_relu"})
    layer = draw_layer(spec, inputs=1, jobs=1, seed=0, scale=0.0)
    layer["weight_ih"].fill_(1)
    layer["activation_bias"][0] = torch.tensor([-9.0, -1.0], dtype=torch.float64)
    forward = make_cell([spec]).forward(normal(1, 4, 2, 1, seed=8), layer)
    flow = _flow(forward, layer, torch.ones_like(forward.answers(1)))

    assert flow.silent_KH is not None
    assert flow.silent_KH.tolist() == [[True, False]]
    assert flow.saturation_K.tolist() == [0.0]


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_gates_held_shut_are_saturated(kind: str) -> None:
    """Large biases put every sigmoid gate at its flat end, small ones none."""
    spec = make_spec(kind)
    layer = draw_layer(spec, inputs=2, jobs=2, seed=0, scale=0.0)
    layer["bias_ih"][1] = 10
    forward = make_cell([spec, spec]).forward(normal(2, 4, 2, 2, seed=7), layer)
    flow = _flow(forward, layer, torch.ones_like(forward.answers(1)))

    assert flow.saturation_K.tolist() == [0.0, 1.0]
    assert flow.silent_KH is None
