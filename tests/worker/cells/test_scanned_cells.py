"""Minimal GRU, minimal LSTM and LRU against loops and autograd.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.worker.cells import slow_scanned_cells
from tests.worker.cells.one_layer import Layer, Sizes, draw_layer
from worker.cells.cell import RecurrentCell

each_kind = pytest.mark.parametrize("kind", ["min_gru", "min_lstm", "lru"])
each_minimal = pytest.mark.parametrize("kind", ["min_gru", "min_lstm"])
drawn_sizes = st.fixed_dictionaries(
    {
        "jobs": st.integers(1, 3),
        "time_steps": st.integers(1, 11),
        "answered": st.integers(0, 11),
        "sequences": st.integers(1, 3),
        "inputs": st.integers(1, 3),
        "hidden": st.integers(1, 5),
        "seed": st.integers(0, 10_000),
    }
).map(Sizes.of)
SOME = Sizes(jobs=2, time_steps=7, answered=3, sequences=2, inputs=2, hidden=3, seed=5)


def close(actual: object, expected: object) -> None:
    """Equal but for rounding in float64."""
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


def slowly(kind: str, layer: Layer) -> tuple[Tensor, list[Tensor], dict[str, Tensor]]:
    """Outputs (T, B, H) of the first job by a loop, its states, and all gradients by autograd."""
    leaves = {name: tensor[0].clone() for name, tensor in layer.parameters.items()}
    leaves |= {"x": layer.x_KTBI[0].clone(), "initial": layer.initial[0][0].clone()}
    for leaf in leaves.values():
        leaf.requires_grad_()
    output_TBH, states = slow_scanned_cells.run(kind, leaves["x"], leaves["initial"], leaves)
    for state_BH in states:
        state_BH.retain_grad()
    answered = layer.grad_h_KSBD.shape[1]
    answers_SBH = output_TBH[len(output_TBH) - answered :]
    torch.autograd.backward(
        [answers_SBH, states[-1]], [layer.grad_h_KSBD[0], layer.grad_final[0][0]]
    )
    gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    return output_TBH.detach(), states, gradients


@each_kind
@settings(max_examples=25, deadline=None)
@given(sizes=drawn_sizes)
def test_cell_equals_its_loop(kind: str, sizes: Sizes) -> None:
    """Values, final state and all gradients are those of a loop over time left to autograd."""
    layer = draw_layer(kind, sizes)
    forward = layer.forward()
    output_KTBH, final_KBH = forward.h_KTBH.clone(), forward.final_state[0].clone()
    back, gradients = layer.backward(forward)
    assert back.grad_x_KTBI is not None
    for index in range(sizes.jobs):
        expected_TBH, states, expected = slowly(kind, layer.job(index))
        ours = {name: gradient[index] for name, gradient in gradients.items()}
        ours |= {"x": back.grad_x_KTBI[index], "initial": back.grad_initial[0][index]}

        close(output_KTBH[index], expected_TBH)
        close(final_KBH[index], states[-1].detach())
        close({name: ours[name] for name in expected}, expected)
        # What nothing depends on has no gradient in autograd, and 0 in ours.
        assert all(not ours[name].any() for name in ours.keys() - expected.keys())


@each_kind
def test_flow_is_the_gradient_by_each_state(kind: str) -> None:
    """Its norms are those of what autograd leaves in the states of a loop."""
    layer = draw_layer(kind, SOME)
    back, _ = layer.backward(layer.forward())
    assert back.flow is not None
    for index in range(SOME.jobs):
        _, states, _ = slowly(kind, layer.job(index))
        norms = [torch.linalg.vector_norm(state.grad) for state in states if state.grad is not None]

        close(back.flow.grad_norm_KT[index], torch.stack(norms))


@each_minimal
def test_minimal_cell_has_no_weight_terms(kind: str) -> None:
    """Where no weight is recurrent there is no term of its gradient."""
    layer = draw_layer(kind, SOME)
    back, _ = layer.backward(layer.forward())

    assert back.flow is not None
    assert back.flow.weight_term_norm_KT.isnan().all()
    assert back.flow.silent_KH is None


def test_weight_terms_of_an_lru_are_those_of_its_decay() -> None:
    """With one unit the term through t is |sum over the batch of dL/ds_t * conj(s_{t-1})|."""
    layer = draw_layer("lru", Sizes(time_steps=5, answered=2, sequences=3, inputs=2, seed=8))
    back, _ = layer.backward(layer.forward())
    _, states, _ = slowly("lru", layer)
    before = [layer.initial[0][0], *(state.detach() for state in states[:-1])]
    terms = [
        (state.grad * previous.conj()).sum().abs()
        for state, previous in zip(states, before, strict=True)
        if state.grad is not None
    ]

    assert back.flow is not None
    close(back.flow.weight_term_norm_KT[0], torch.stack(terms))
    assert back.flow.saturation_K.tolist() == [0.0]


class _OneLayer(torch.autograd.Function):
    """A layer's hand-written passes as an autograd function, for gradcheck.

    gradcheck goes back several times over one forward pass, ours can once: so it is run again.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        cell: RecurrentCell,
        names: list[str],
        *tensors: Tensor,
    ) -> Tensor:
        ctx.cell, ctx.names = cell, names  # type: ignore[attr-defined]
        ctx.save_for_backward(*tensors)
        return cell.forward(tensors[0], dict(zip(names, tensors[1:], strict=True))).h_KTBH

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, grad_h_KTBH: Tensor
    ) -> tuple[Tensor | None, ...]:
        x_KTBI, *tensors = ctx.saved_tensors  # type: ignore[attr-defined]
        parameters = dict(zip(ctx.names, tensors, strict=True))  # type: ignore[attr-defined]
        gradients = {name: torch.empty_like(tensor) for name, tensor in parameters.items()}
        back = ctx.cell.forward(x_KTBI, parameters).backward(  # type: ignore[attr-defined]
            grad_h_KTBH, gradients, needs_grad_x=True, measure=False
        )
        return None, None, back.grad_x_KTBI, *gradients.values()


@each_kind
def test_backward_is_the_derivative(kind: str) -> None:
    """The backward pass agrees with finite differences of the forward pass."""
    layer = draw_layer(kind, SOME)
    tensors = [layer.x_KTBI, *layer.parameters.values()]
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    names = list(layer.parameters)

    assert torch.autograd.gradcheck(
        lambda *tensors: _OneLayer.apply(layer.cell, names, *tensors),  # type: ignore[no-untyped-call]
        leaves,
    )


@each_kind
@pytest.mark.parametrize("cut", [1, 4, 6])
def test_two_parts_are_the_whole(kind: str, cut: int) -> None:
    """A sequence cut in two, the state handed on and its gradient back, gives the same numbers."""
    whole = draw_layer(kind, Sizes(jobs=2, time_steps=7, answered=7, sequences=2, inputs=2))
    forward = whole.forward()
    output_KTBH = forward.h_KTBH.clone()
    back, gradients = whole.backward(forward)
    first_x, last_x = whole.x_KTBI[:, :cut], whole.x_KTBI[:, cut:]
    first_grad, last_grad = whole.grad_h_KSBD[:, :cut], whole.grad_h_KSBD[:, cut:]

    first = whole.cell.forward(first_x, whole.parameters, whole.initial)
    middle = tuple(part.clone() for part in first.final_state)
    last = Layer(whole.cell, whole.parameters, last_x, middle, last_grad, whole.grad_final)
    last_forward = last.forward()
    parts = torch.cat([first.h_KTBH, last_forward.h_KTBH], dim=1)
    last_back, last_gradients = last.backward(last_forward)
    start = Layer(
        whole.cell, whole.parameters, first_x, whole.initial, first_grad, last_back.grad_initial
    )
    first_back, first_gradients = start.backward(first)

    close(parts, output_KTBH)
    close(first_back.grad_initial, back.grad_initial)
    close({name: first_gradients[name] + last_gradients[name] for name in gradients}, gradients)


@each_kind
def test_no_output_depends_on_what_comes_later(kind: str) -> None:
    """Changing x_5 leaves the outputs before it as they are, and changes those from it on."""
    layer = draw_layer(kind, SOME)
    before_KTBH = layer.forward().h_KTBH.clone()
    layer.x_KTBI[:, 4] += 1
    after_KTBH = layer.forward().h_KTBH

    close(after_KTBH[:, :4], before_KTBH[:, :4])
    assert (after_KTBH[:, 4:] != before_KTBH[:, 4:]).all()


@each_kind
def test_packed_is_alone(kind: str) -> None:
    """A job's numbers are the same in a pack of three and alone."""
    packed = draw_layer(kind, Sizes(jobs=3, time_steps=6, answered=2, sequences=2, hidden=3))
    forward = packed.forward()
    back, gradients = packed.backward(forward)
    for index in range(3):
        alone = packed.job(index)
        alone_forward = alone.forward()
        alone_back, alone_gradients = alone.backward(alone_forward)

        close(forward.h_KTBH[index], alone_forward.h_KTBH[0])
        assert back.grad_x_KTBI is not None
        assert alone_back.grad_x_KTBI is not None
        close(back.grad_x_KTBI[index], alone_back.grad_x_KTBI[0])
        for name, gradient in gradients.items():
            close(gradient[index], alone_gradients[name][0])


@each_minimal
def test_gates_held_shut_are_saturated(kind: str) -> None:
    """Biases of 10 put every sigmoid gate at its flat end; inputs of 0 and no bias put none."""
    layer = draw_layer(kind, SOME)
    layer.x_KTBI.zero_()
    layer.parameters["bias_ih"][0] = 0
    layer.parameters["bias_ih"][1] = 10
    back, _ = layer.backward(layer.forward())

    assert back.flow is not None
    assert back.flow.saturation_K.tolist() == [0.0, 1.0]


@each_kind
def test_float32_is_close_to_float64(kind: str) -> None:
    """Over 200 steps single precision stays within 1e-4 of double."""
    layer = draw_layer(kind, Sizes(time_steps=200, sequences=2, inputs=2, hidden=4, seed=3))
    single = layer.cell.forward(
        layer.x_KTBI.float(), {name: value.float() for name, value in layer.parameters.items()}
    )
    double = layer.cell.forward(layer.x_KTBI, layer.parameters)

    torch.testing.assert_close(single.h_KTBH.double(), double.h_KTBH, rtol=1e-4, atol=1e-4)
