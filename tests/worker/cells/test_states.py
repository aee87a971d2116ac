"""State handed into a layer and out of it, and the gradient that comes back the same way.

Shapes: K jobs, T time steps, S of them with a gradient from outside, B sequences, H hidden units.
"""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.worker.cells.drawn_layers import (
    KINDS,
    NUM_STATES,
    draw_layer,
    empty_like,
    make_cell,
    make_spec,
    normal,
)
from worker.cells.cell import RecurrentCell, State
from worker.cells.flow import LayerFlow, join_in_time
from worker.training.parameters import LayerParameters

JOBS, SEQUENCES, INPUTS, HIDDEN = 2, 3, 2, 4


@dataclass(frozen=True)
class Case:
    """One layer with all that comes in from outside, forward and back."""

    kind: str
    layer: LayerParameters
    x: Tensor
    initial: State
    grad_h: Tensor
    """By the last S states."""
    grad_final: State

    @property
    def cell(self) -> RecurrentCell:
        """The layer's equations."""
        return make_cell([make_spec(self.kind, hidden_size=HIDDEN)] * JOBS)


@dataclass(frozen=True)
class Outcome:
    """All that comes out."""

    values: list[Tensor]
    """h_1 ... h_T, and the final state."""
    grads: list[Tensor]
    """By x, by the initial state, and by the parameters in their order."""
    flow: LayerFlow


def _draw_case(kind: str, *, time_steps: int, answered: int, seed: int) -> Case:
    def draw_state(first_seed: int) -> State:
        parts = range(NUM_STATES[kind])
        return tuple(normal(JOBS, SEQUENCES, HIDDEN, seed=first_seed + part) for part in parts)

    layer = draw_layer(make_spec(kind, hidden_size=HIDDEN), inputs=INPUTS, jobs=JOBS, seed=seed)
    x_KTBI = normal(JOBS, time_steps, SEQUENCES, INPUTS, seed=seed + 1)
    grad_h_KSBH = normal(JOBS, answered, SEQUENCES, HIDDEN, seed=seed + 2)
    return Case(kind, layer, x_KTBI, draw_state(seed + 3), grad_h_KSBH, draw_state(seed + 5))


@st.composite
def _cases(draw: st.DrawFn, *, min_steps: int = 1) -> Case:
    time_steps = draw(st.integers(min_steps, 8))
    return _draw_case(
        draw(st.sampled_from(KINDS)),
        time_steps=time_steps,
        answered=draw(st.integers(0, time_steps)),
        seed=draw(st.integers(0, 10_000)),
    )


def _run(case: Case) -> Outcome:
    """The whole sequence at once."""
    forward = case.cell.forward(case.x, case.layer, case.initial)
    # Copies, as the backward pass may overwrite what the forward pass kept.
    values = [tensor.clone() for tensor in (forward.h_KTBH, *forward.final_state)]
    gradients = empty_like(case.layer)
    back = forward.backward(
        case.grad_h, gradients, grad_final=case.grad_final, needs_grad_x=True, measure=True
    )
    assert back.grad_x_KTBI is not None
    assert back.flow is not None
    return Outcome(values, [back.grad_x_KTBI, *back.grad_initial, *gradients.values()], back.flow)


def _run_in_two(case: Case, cut: int) -> Outcome:
    """The first `cut` time steps and then the others; back the other way round."""
    early = max(0, cut - (case.x.shape[1] - case.grad_h.shape[1]))  # of the S states
    first = case.cell.forward(case.x[:, :cut], case.layer, case.initial)
    second = case.cell.forward(case.x[:, cut:], case.layer, first.final_state)
    h_KTBH = torch.cat([first.h_KTBH, second.h_KTBH], dim=1)
    values = [h_KTBH, *(tensor.clone() for tensor in second.final_state)]
    of_first, of_second = empty_like(case.layer), empty_like(case.layer)
    later = second.backward(
        case.grad_h[:, early:],
        of_second,
        grad_final=case.grad_final,
        needs_grad_x=True,
        measure=True,
    )
    back = first.backward(
        case.grad_h[:, :early],
        of_first,
        grad_final=later.grad_initial,
        needs_grad_x=True,
        measure=True,
    )
    assert back.grad_x_KTBI is not None
    assert later.grad_x_KTBI is not None
    assert back.flow is not None
    assert later.flow is not None
    grad_x_KTBI = torch.cat([back.grad_x_KTBI, later.grad_x_KTBI], dim=1)
    gradients = [of_first[name] + of_second[name] for name in case.layer]
    flow = join_in_time([back.flow, later.flow])
    return Outcome(values, [grad_x_KTBI, *back.grad_initial, *gradients], flow)


def _run_torch(case: Case, job: int) -> tuple[list[Tensor], list[Tensor]]:
    """Torch's `Outcome.values` and `Outcome.grads` of one job."""
    modules = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
    module = modules[case.kind](INPUTS, HIDDEN, dtype=torch.float64)
    parameters = dict(module.named_parameters())
    for name, tensor in case.layer.items():
        parameters[f"{name}_l0"].data.copy_(tensor[job])
    x_TBI = case.x[job].clone().requires_grad_()
    initial = [state_KBH[job].clone().requires_grad_() for state_KBH in case.initial]
    # Torch's states have an axis of layers, and only an LSTM's is a tuple.
    with_axis = [state_BH[None] for state_BH in initial]
    output_TBH, final = module(x_TBI, with_axis[0] if case.kind != "lstm" else tuple(with_axis))
    finals = [final[0]] if case.kind != "lstm" else [state_1BH[0] for state_1BH in final]
    grads = torch.autograd.grad(
        [output_TBH[len(output_TBH) - case.grad_h.shape[1] :], *finals],
        [x_TBI, *initial, *(parameters[f"{name}_l0"] for name in case.layer)],
        [case.grad_h[job], *(grad_KBH[job] for grad_KBH in case.grad_final)],
    )
    return [output_TBH, *finals], list(grads)


@settings(max_examples=40, deadline=None)
@given(case=_cases())
def test_layer_from_state_to_state_equals_torch(case: Case) -> None:
    """Given a state, and a gradient by the last one, values and all gradients are torch's."""
    outcome = _run(case)
    for job in range(JOBS):
        values, grads = _run_torch(case, job)

        torch.testing.assert_close(
            [tensor[job] for tensor in outcome.values], values, rtol=1e-10, atol=1e-13
        )
        torch.testing.assert_close(
            [tensor[job] for tensor in outcome.grads], grads, rtol=1e-10, atol=1e-13
        )


@settings(max_examples=40, deadline=None)
@given(case=_cases(min_steps=2), data=st.data())
def test_sequence_in_two_parts_equals_the_whole(case: Case, data: st.DataObject) -> None:
    """Handing state on and gradient back joins two parts to the whole, its flow as well."""
    cut = data.draw(st.integers(1, case.x.shape[1] - 1), label="cut")
    whole, parts = _run(case), _run_in_two(case, cut)

    for ours, expected in (
        (parts.values, whole.values),
        (parts.grads, whole.grads),
        (parts.flow.grad_norm_KT, whole.flow.grad_norm_KT),
        (parts.flow.weight_term_norm_KT, whole.flow.weight_term_norm_KT),
        (parts.flow.saturation_K, whole.flow.saturation_K),
    ):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_given_is_zero(kind: str) -> None:
    """No initial state and no gradient by the final one are the same as zeros, bit for bit."""
    drawn = _draw_case(kind, time_steps=4, answered=2, seed=1)
    zeros = tuple(torch.zeros_like(state_KBH) for state_KBH in drawn.initial)
    given_zeros = _run(Case(kind, drawn.layer, drawn.x, zeros, drawn.grad_h, zeros))
    forward = drawn.cell.forward(drawn.x, drawn.layer)
    gradients = empty_like(drawn.layer)
    back = forward.backward(drawn.grad_h, gradients, needs_grad_x=False, measure=False)

    assert back.grad_x_KTBI is None
    assert back.flow is None
    ours = [*back.grad_initial, *gradients.values()]
    assert all(map(torch.equal, ours, given_zeros.grads[1:]))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_handed_in_stays_as_it_was(kind: str) -> None:
    """Inputs, parameters, states and gradients from outside are read and never written."""
    case = _draw_case(kind, time_steps=4, answered=2, seed=2)
    handed = [case.x, *case.layer.values(), *case.initial, case.grad_h, *case.grad_final]
    before = [tensor.clone() for tensor in handed]
    _run(case)

    assert all(map(torch.equal, handed, before))
