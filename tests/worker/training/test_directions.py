"""Bidirectional networks: gradients, flow, and why time is not cut.

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units, O outputs.
"""

import pytest
import torch
from torch import Tensor, nn

from tests.worker.training.networks import HIDDEN, INPUTS, Network, draw_network, spec_of
from worker.training.flow import collect_flow


def close(actual: object, expected: object) -> None:
    """Equal but for rounding in float64."""
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


def leaves_of(network: Network) -> dict[str, Tensor]:
    """The parameters of its job by name, to be differentiated by."""
    named = network.teacher.layout.named(network.parameters_KP[0])
    return {name: value.clone().requires_grad_() for name, value in named.items()}


def test_network_with_one_answer_equals_torch() -> None:
    """Two LSTM layers read out at both ends have the loss and gradients of torch's final states."""
    network = draw_network(spec_of("lstm", num_layers=2, bidirectional=True))
    lesson, gradients_KP = network.learn()
    leaves = leaves_of(network)
    module = nn.LSTM(INPUTS, HIDDEN, 2, bidirectional=True, dtype=torch.float64)
    own = {name: leaves[f"rnn.{name}"] for name, _ in module.named_parameters()}
    _, (final, _) = torch.func.functional_call(module, own, (network.exercise.x_KTBI[0],))
    read_BD = torch.cat([final[2], final[3]], dim=1)
    prediction_BO = read_BD @ leaves["readout.weight"].T + leaves["readout.bias"]
    loss = (prediction_BO - network.exercise.target[0, 0]).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]

    close(lesson.loss_K[0], loss.detach())
    close(
        network.teacher.layout.named(gradients_KP[0]),
        {name: leaf.grad for name, leaf in leaves.items()},
    )


def tanh_states(x_TBI: Tensor, leaves: dict[str, Tensor], suffix: str) -> list[Tensor]:
    """The states of one direction of a tanh layer, in its own order, their gradients kept."""
    weights = {
        name: leaves[f"rnn.{name}_l0{suffix}"]
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    states = [torch.zeros(x_TBI.shape[1], HIDDEN, dtype=torch.float64)]
    for x_BI in x_TBI:
        inputs = x_BI @ weights["weight_ih"].T + weights["bias_ih"] + weights["bias_hh"]
        states.append((inputs + states[-1] @ weights["weight_hh"].T).tanh())
        states[-1].retain_grad()
    return states[1:]


@pytest.mark.parametrize("target_steps", [1, 3])
def test_flow_is_the_gradient_by_each_directions_states(target_steps: int) -> None:
    """Both flows are of the last target alone, each in its own direction of time.

    With one target the reverse direction is read out at its own end, with several at T, its own
    first step: then nothing comes back from any later one.
    """
    network = draw_network(spec_of("rnn", bidirectional=True), target_steps)
    lesson, _ = network.learn()
    leaves, x_TBI = leaves_of(network), network.exercise.x_KTBI[0]
    forward = tanh_states(x_TBI, leaves, "")
    reverse = tanh_states(x_TBI.flip(0), leaves, "_reverse")
    read_BD = torch.cat([forward[-1], reverse[-1 if target_steps == 1 else 0]], dim=1)
    prediction_BO = read_BD @ leaves["readout.weight"].T + leaves["readout.bias"]
    loss = (prediction_BO - network.exercise.target[0, -1]).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    for flow, states in zip(lesson.flows, (forward, reverse), strict=True):
        norms = [0.0 if state.grad is None else state.grad.norm().item() for state in states]

        close(flow.grad_norm_KT[0], torch.tensor(norms, dtype=torch.float64))


@pytest.mark.parametrize("target_steps", [1, 3])
def test_time_is_never_cut(target_steps: int) -> None:
    """Asked for segments of two steps, the lesson is that of the whole sequence."""
    network = draw_network(spec_of("gru", num_layers=2, bidirectional=True), target_steps)
    whole, gradients_KP = network.learn()
    asked, same_KP = network.learn(segment_steps=2)

    assert torch.equal(same_KP, gradients_KP)
    assert torch.equal(asked.loss_K, whole.loss_K)


def test_each_layer_has_two_flows() -> None:
    """Two layers have four records: forward and reverse of the first, then of the second."""
    spec = spec_of("gru", num_layers=2, bidirectional=True)
    network = draw_network(spec)
    lesson, _ = network.learn()
    parameters = network.teacher.layout.views(network.parameters_KP)
    record = collect_flow(lesson.flows, parameters, with_radius=True).record(1, 0, with_radius=True)

    assert record.grad_norm_LT.shape == record.weight_term_norm_LT.shape == (4, 6)
    assert len(record.reach_L) == 4
    # The top layer is read at both ends, so each of its directions has its gradient there.
    assert all(record.grad_norm_LT[2:, -1] > 0)
