"""Bidirectional layers against torch's own, and cells that torch has not against two of them.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units of each direction, D = 2H.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.worker.cells.one_layer import Layer, Sizes, draw_layer

TORCH_LAYERS: dict[str, type[nn.RNN | nn.GRU | nn.LSTM]] = {
    "rnn": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}
ALL = ["rnn", "gru", "lstm", "min_gru", "min_lstm", "lru"]
drawn_sizes = st.fixed_dictionaries(
    {
        "jobs": st.integers(1, 3),
        "time_steps": st.integers(1, 8),
        "answered": st.integers(0, 8),
        "sequences": st.integers(1, 3),
        "inputs": st.integers(1, 3),
        "hidden": st.integers(1, 4),
        "seed": st.integers(0, 10_000),
    }
).map(Sizes.of)
SOME = Sizes(jobs=2, time_steps=6, answered=1, sequences=3, inputs=2, hidden=3, seed=4)


def close(actual: object, expected: object) -> None:
    """Equal but for rounding in float64."""
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


def torch_states(kind: str, state: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
    """Our state of one job, forward's parts and then reverse's, as torch takes it: (2, B, H)."""
    half = len(state) // 2
    parts = tuple(
        torch.stack([ahead[0], back[0]])
        for ahead, back in zip(state[:half], state[half:], strict=True)
    )
    return parts if kind == "lstm" else parts[0]


def by_torch(kind: str, layer: Layer) -> tuple[Tensor, list[Tensor], dict[str, Tensor]]:
    """Outputs (T, B, D), final states and all gradients of the first job, by torch."""
    hidden = layer.initial[0].shape[2]
    module = TORCH_LAYERS[kind](
        layer.x_KTBI.shape[3], hidden, bidirectional=True, dtype=torch.float64
    )
    for name, parameter in module.named_parameters():
        parameter.data.copy_(layer.parameters[name.replace("_l0", "")][0])
    x_TBI = layer.x_KTBI[0].clone().requires_grad_()
    leaves = [part[:1].clone().requires_grad_() for part in layer.initial]
    output_TBD, final = module(x_TBI, torch_states(kind, tuple(leaves)))
    finals = [final] if isinstance(final, Tensor) else list(final)
    grad_final = torch_states(kind, layer.grad_final)
    grad_finals = [grad_final] if isinstance(grad_final, Tensor) else list(grad_final)
    answered = layer.grad_h_KSBD.shape[1]
    answers_SBD = output_TBD[len(output_TBD) - answered :]
    torch.autograd.backward([answers_SBD, *finals], [layer.grad_h_KSBD[0], *grad_finals])
    gradients = {name.replace("_l0", ""): value.grad for name, value in module.named_parameters()}
    gradients |= {"x": x_TBI.grad} | {f"initial {i}": leaf.grad for i, leaf in enumerate(leaves)}
    found = {name: gradient for name, gradient in gradients.items() if gradient is not None}
    return output_TBD.detach(), [part.detach() for part in finals], found


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
@settings(max_examples=15, deadline=None)
@given(sizes=drawn_sizes)
def test_layer_equals_torch(kind: str, sizes: Sizes) -> None:
    """Outputs, final states and all gradients are torch's, for any shape and pack."""
    layer = draw_layer(kind, sizes, bidirectional=True)
    forward = layer.forward()
    output_KTBD = forward.h_KTBH.clone()
    finals = tuple(part.clone() for part in forward.final_state)
    back, gradients = layer.backward(forward)
    assert back.grad_x_KTBI is not None
    for index in range(sizes.jobs):
        expected_TBD, expected_finals, expected = by_torch(kind, layer.job(index))
        rows = slice(index, index + 1)
        final = torch_states(kind, tuple(part[rows] for part in finals))
        ours = {name: gradient[index] for name, gradient in gradients.items()}
        ours |= {"x": back.grad_x_KTBI[index]}
        ours |= {f"initial {i}": part[rows] for i, part in enumerate(back.grad_initial)}

        close(output_KTBD[index], expected_TBD)
        close([final] if isinstance(final, Tensor) else list(final), expected_finals)
        close(ours, expected)


@pytest.mark.parametrize("kind", ALL)
def test_one_answer_is_read_after_each_directions_own_last_step(kind: str) -> None:
    """With one target the answer is the forward state at T beside the reverse state at t = 1."""
    layer = draw_layer(kind, SOME, target_steps=1, bidirectional=True)
    forward = layer.forward()

    expected_KBD = torch.cat([forward.h_KTBH[:, -1, :, :3], forward.h_KTBH[:, 0, :, 3:]], dim=2)
    close(forward.answers(1)[:, 0], expected_KBD)


@pytest.mark.parametrize("kind", ALL)
def test_several_answers_are_aligned_in_time(kind: str) -> None:
    """With several targets each is read from both directions at its own step, the last one too."""
    forward = draw_layer(kind, SOME, target_steps=3, bidirectional=True).forward()

    assert torch.equal(forward.answers(3), forward.h_KTBH[:, -3:])
    assert torch.equal(forward.answers(1), forward.h_KTBH[:, -1:])


@pytest.mark.parametrize("kind", ALL)
def test_gradient_of_one_answer_goes_to_both_ends(kind: str) -> None:
    """It equals that of all outputs with the answer's halves put at T and at t = 1."""
    one = draw_layer(kind, SOME, target_steps=1, bidirectional=True)
    grad_h_KTBD = torch.zeros(2, 6, 3, 6, dtype=torch.float64)
    grad_h_KTBD[:, -1, :, :3] = one.grad_h_KSBD[:, 0, :, :3]
    grad_h_KTBD[:, 0, :, 3:] = one.grad_h_KSBD[:, 0, :, 3:]
    every = Layer(one.cell, one.parameters, one.x_KTBI, one.initial, grad_h_KTBD, one.grad_final)
    back, gradients = one.backward(one.forward())
    expected_back, expected = every.backward(every.forward())

    close(gradients, expected)
    close(back.grad_x_KTBI, expected_back.grad_x_KTBI)


@pytest.mark.parametrize("kind", ALL)
def test_reverse_flow_is_in_its_own_direction_of_time(kind: str) -> None:
    """On a sequence turned round, with the directions' parameters swapped, the flows swap too."""
    layer = draw_layer(kind, SOME, target_steps=1, bidirectional=True)
    half = len(layer.initial) // 2
    names = [name for name in layer.parameters if not name.endswith("_reverse")]
    swapped = {name: layer.parameters[f"{name}_reverse"] for name in names}
    swapped |= {f"{name}_reverse": layer.parameters[name] for name in names}
    turned = Layer(
        layer.cell,
        swapped,
        layer.x_KTBI.flip(1),
        (*layer.initial[half:], *layer.initial[:half]),
        torch.cat([layer.grad_h_KSBD[..., 3:], layer.grad_h_KSBD[..., :3]], dim=3),
        (*layer.grad_final[half:], *layer.grad_final[:half]),
    )
    ahead, back = layer.backward(layer.forward())[0].flows
    turned_ahead, turned_back = turned.backward(turned.forward())[0].flows

    close(back.grad_norm_KT, turned_ahead.grad_norm_KT)
    close(ahead.grad_norm_KT, turned_back.grad_norm_KT)


def test_layer_in_one_direction_has_one_flow() -> None:
    """There is no reverse flow where nothing runs in reverse."""
    layer = draw_layer("gru", SOME)

    assert len(layer.backward(layer.forward())[0].flows) == 1
