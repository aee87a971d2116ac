"""The kernels for the GPU, interpreted: against the reference, and what they must not do."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from contract.spec import JobSpec
from tests.worker.cells.gpu.layers import (
    CPU,
    Case,
    Outcome,
    draw_case,
    kernels_of,
    make_spec,
    run_kernels,
    run_reference,
    without_states,
)
from worker.cells.registry import make_layers
from worker.training.lesson import Exercise, Lesson, Teacher
from worker.training.model import Model
from worker.training.parameters import ParameterBuffer, ParameterLayout

KINDS = ("rnn", "gru", "lstm")
LEAKY: dict[str, object] = {"kind": "leaky_relu", "negative_slope": 0.3}
CELLS: list[tuple[str, dict[str, object] | None]] = [
    ("rnn", None),
    ("rnn", {"kind": "relu"}),
    ("rnn", LEAKY),
    ("gru", None),
    ("lstm", None),
]
# The interpreter computes with NumPy, which speaks up about nan and infinity.
NOT_FINITE = pytest.mark.filterwarnings(
    "ignore:invalid value:RuntimeWarning", "ignore:All-NaN slice:RuntimeWarning"
)


@st.composite
def _cases(draw: st.DrawFn) -> Case:
    kind, activation = draw(st.sampled_from(CELLS))
    # A block has 16 sequences and at least 16 columns: below, at and above them.
    spec = make_spec(kind, hidden_size=draw(st.sampled_from([1, 3, 16, 17])), activation=activation)
    time_steps = draw(st.integers(1, 3))
    case = draw_case(
        [spec] * draw(st.integers(1, 4)),
        time_steps=time_steps,
        answered=draw(st.sampled_from([0, 1, time_steps])),
        sequences=draw(st.sampled_from([1, 2, 16, 17])),
        seed=draw(st.integers(0, 10_000)),
    )
    return case if draw(st.booleans()) else without_states(case)


def _assert_equal(ours: list[Tensor], exact: list[Tensor]) -> None:
    torch.testing.assert_close([tensor.double() for tensor in ours], exact, rtol=1e-4, atol=1e-5)


def _flow_of(outcome: Outcome) -> list[Tensor]:
    flow = outcome.flow
    return [flow.grad_norm_KT, flow.weight_term_norm_KT, flow.saturation_K]


@settings(max_examples=40)
@given(case=_cases())
def test_kernels_equal_the_reference(case: Case) -> None:
    """Values, all gradients and the flow are those of the reference in float64, for any shape."""
    ours, exact = run_kernels(case), run_reference(case)

    _assert_equal(ours.values, exact.values)
    _assert_equal(ours.grads, exact.grads)
    _assert_equal(_flow_of(ours), _flow_of(exact))


@pytest.mark.parametrize("kind", KINDS)
def test_layers_on_each_other_learn_like_the_reference(kind: str) -> None:
    """Loss, gradients and flows of a lesson for two layers are those of the reference."""
    specs = [make_spec(kind, hidden_size=5, num_layers=2)] * 2
    lessons = [
        _learn(Model((kernels_of(specs),) * 2, "squared_error", 1), specs, torch.float32),
        _learn(
            Model(make_layers(specs, CPU, torch.float64), "squared_error", 1), specs, torch.float64
        ),
    ]
    (ours, our_gradients), (exact, exact_gradients) = lessons

    _assert_equal([ours.loss_K, our_gradients], [exact.loss_K, exact_gradients])
    _assert_equal(
        [flow.grad_norm_KT for flow in ours.flows], [flow.grad_norm_KT for flow in exact.flows]
    )


def _learn(model: Model, specs: list[JobSpec], dtype: torch.dtype) -> tuple[Lesson, Tensor]:
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    layout = ParameterLayout(specs[0], 2, 1)
    parameters = layout.buffer(0.5 * normal(len(specs), layout.num_parameters))
    gradients: ParameterBuffer = layout.buffer(torch.full_like(parameters.flat_KP, torch.nan))
    exercise = Exercise(normal(len(specs), 4, 3, 2), normal(len(specs), 1, 3, 1))
    with torch.inference_mode():
        lesson = Teacher(model, layout).learn(exercise, parameters.network, gradients, measure=True)
    return lesson, gradients.flat_KP


def test_leaky_layer_by_hand() -> None:
    """One unit, w=2, u=1, slope 1/2, x=(-2, 3): h=(-1, 1); dL/dh_2=1 gives dL/dw=-1, dL/du=1."""
    spec = make_spec("rnn", hidden_size=1, activation={"kind": "leaky_relu", "negative_slope": 0.5})
    layer = {"weight_ih": 1.0, "weight_hh": 2.0, "bias_ih": 0.0, "bias_hh": 0.0}
    shapes = {"weight_ih": (1, 1, 1), "weight_hh": (1, 1, 1), "bias_ih": (1, 1), "bias_hh": (1, 1)}
    case = Case(
        [spec],
        {name: torch.full(shapes[name], value) for name, value in layer.items()},
        torch.tensor([-2.0, 3.0]).view(1, 2, 1, 1),
        None,
        torch.ones(1, 1, 1, 1),
        None,
    )
    outcome = run_kernels(case)
    grad_x_KTBI, grad_initial_KBH, *gradients = outcome.grads
    by_name = dict(zip(layer, gradients, strict=True))

    assert outcome.values[0].flatten().tolist() == [-1.0, 1.0]
    # By the path of the first step: dL/dh_1 = 2, dL/da_1 = 1.
    assert by_name["weight_hh"].item() == -1.0
    assert by_name["weight_ih"].item() == 3.0 * 1 - 2.0 * 1
    assert by_name["bias_ih"].item() == by_name["bias_hh"].item() == 2.0
    assert grad_x_KTBI.flatten().tolist() == [1.0, 1.0]
    assert grad_initial_KBH.item() == 2.0
    assert outcome.flow.grad_norm_KT.tolist() == [[2.0, 1.0]]


@NOT_FINITE
@pytest.mark.parametrize("kind", KINDS)
def test_job_that_diverges_leaves_the_others_alone(kind: str) -> None:
    """With nan in one job's weights its own numbers are nan, and the others keep their bits."""
    case = draw_case([make_spec(kind, hidden_size=3)] * 3)
    before = run_kernels(case)
    case.layer["weight_hh"][1] = torch.nan
    after = run_kernels(case)
    pairs = list(
        zip(
            before.values + before.grads + [before.flow.grad_norm_KT],
            after.values + after.grads + [after.flow.grad_norm_KT],
            strict=True,
        )
    )

    assert all(torch.equal(one[[0, 2]], other[[0, 2]]) for one, other in pairs)
    assert after.values[0][1].isnan().all()
    assert after.flow.grad_norm_KT[1, 0].isnan()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_handed_to_kernels_stays_as_it_was(kind: str) -> None:
    """Inputs, parameters, states and gradients from outside are read and never written."""
    case = draw_case([make_spec(kind, hidden_size=3)] * 2)
    assert case.initial is not None
    assert case.grad_final is not None
    handed = [case.x, *case.layer.values(), *case.initial, case.grad_h, *case.grad_final]
    before = [tensor.clone() for tensor in handed]
    run_kernels(case)

    assert all(map(torch.equal, handed, before))


@pytest.mark.parametrize("kind", KINDS)
def test_unmeasured_backward_gives_the_same_gradients(kind: str) -> None:
    """Without the flow there is none, and the gradients are the same, bit for bit."""
    case = draw_case([make_spec(kind, hidden_size=3)] * 2)
    forward = kernels_of(case.specs).forward(case.x, case.layer, case.initial)
    gradients = {name: torch.full_like(tensor, torch.nan) for name, tensor in case.layer.items()}
    back = forward.backward(
        case.grad_h, gradients, grad_final=case.grad_final, needs_grad_x=False, measure=False
    )
    ours = [*back.grad_initial, *gradients.values()]

    assert back.flow is None
    assert back.grad_x_KTBI is None
    assert all(map(torch.equal, ours, run_kernels(case).grads[1:]))


@pytest.mark.parametrize("kind", KINDS)
def test_smallest_gradients_have_a_norm(kind: str) -> None:
    """A gradient of 1e-30, whose squares float32 does not know, has the norm of the reference."""
    case = without_states(draw_case([make_spec(kind, hidden_size=3)] * 2))
    case.grad_h.mul_(1e-30)
    ours_KT, exact_KT = run_kernels(case).flow.grad_norm_KT, run_reference(case).flow.grad_norm_KT

    assert (exact_KT < 1e-28).all()
    torch.testing.assert_close(ours_KT, exact_KT, rtol=1e-5, atol=0)


def test_gradient_that_is_not_there_has_norm_zero() -> None:
    """Before the only answer's gradient reaches them, nothing: the norm is 0, not nan."""
    case = without_states(draw_case([make_spec("rnn", hidden_size=3)]))
    case.grad_h.zero_()

    assert run_kernels(case).flow.grad_norm_KT.tolist() == [[0.0, 0.0, 0.0]]


@NOT_FINITE
def test_infinite_gradient_has_an_infinite_norm() -> None:
    """A gradient that has run over is told as such."""
    case = without_states(draw_case([make_spec("rnn", hidden_size=3)]))
    case.grad_h[0, 0, 0, 0] = torch.inf

    assert run_kernels(case).flow.grad_norm_KT[0, -1].item() == torch.inf
