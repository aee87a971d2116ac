"""The orthogonal constraint: what it keeps, by hand, and against the matrix exponential.

Shapes: K jobs, P parameters, H hidden units.
"""

import math
from collections.abc import Sequence
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from contract.spec import Init, Orthogonal, XavierNormal
from tests.worker.training.layouts import layout_of
from worker.remedies.constraints import make_constraint
from worker.training.parameters import ParameterLayout

FREE: list[Init | None] = [
    None,
    Orthogonal(kind="orthogonal"),
    XavierNormal(kind="xavier_normal"),
]


def _constrained(gain: float = 1.0, lr_factor: float = 1.0) -> Orthogonal:
    return Orthogonal(kind="orthogonal", constraint=True, gain=gain, lr_factor=lr_factor)


def _layout(
    kind: Literal["rnn", "gru"] = "rnn", hidden_size: int = 2, num_layers: int = 1
) -> ParameterLayout:
    return layout_of(kind, hidden_size=hidden_size, num_layers=num_layers)


def _blocks(layout: ParameterLayout, row_P: Tensor) -> list[Tensor]:
    """Views of the H x H parts of every W_hh."""
    return [
        block
        for name, tensor in layout.named(row_P).items()
        if name.startswith("rnn.weight_hh")
        for block in torch.split(tensor, layout.spec.cell.hidden_size)
    ]


def _start(
    layout: ParameterLayout, inits: Sequence[Init | None], dtype: torch.dtype = torch.float64
) -> Tensor:
    """Random parameters whose blocks are gain times random orthogonal matrices."""
    generator = torch.Generator().manual_seed(0)
    parameters_KP = torch.randn(len(inits), layout.num_parameters, generator=generator).to(dtype)
    for init, row_P in zip(inits, parameters_KP, strict=True):
        gain = init.gain if isinstance(init, Orthogonal) else 1.0
        for block in _blocks(layout, row_P):
            torch.nn.init.orthogonal_(block, gain, generator)
    return parameters_KP


def _drawn(like_KP: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(like_KP.shape, generator=generator).to(like_KP.dtype)


def _active(num_jobs: int) -> Tensor:
    return torch.ones(num_jobs, dtype=torch.bool)


def test_an_update_by_hand_becomes_a_rotation() -> None:
    """I plus ((0, -t), (t, 0)) is turned into the rotation by atan(t)."""
    layout = _layout()
    before_KP = torch.zeros(1, layout.num_parameters, dtype=torch.float64)
    _blocks(layout, before_KP[0])[0].copy_(torch.eye(2))
    parameters_KP = before_KP.clone()
    block = _blocks(layout, parameters_KP[0])[0]
    block += torch.tensor([[0.0, -0.75], [0.75, 0.0]])
    make_constraint([_constrained()], layout).retract_(parameters_KP, before_KP, _active(1))
    torch.testing.assert_close(block, torch.tensor([[0.8, -0.6], [0.6, 0.8]]).double())


def test_an_update_that_only_stretches_is_undone() -> None:
    """A symmetric change of the identity leaves it where it was."""
    layout = _layout()
    before_KP = torch.zeros(1, layout.num_parameters, dtype=torch.float64)
    _blocks(layout, before_KP[0])[0].copy_(torch.eye(2))
    parameters_KP = before_KP.clone()
    _blocks(layout, parameters_KP[0])[0].add_(torch.tensor([[0.5, 0.2], [0.2, -0.3]]))
    make_constraint([_constrained()], layout).retract_(parameters_KP, before_KP, _active(1))
    torch.testing.assert_close(parameters_KP, before_KP)


@pytest.mark.parametrize("lr_factor", [1.0, 0.1])
def test_a_small_update_turns_as_far_as_the_exponential(lr_factor: float) -> None:
    """To first order the block moves along Q expm(lr_factor * skew(Q^T change))."""
    layout, init = _layout(hidden_size=5), _constrained(1.3, lr_factor)
    before_KP = _start(layout, [init])
    errors = []
    for size in (1e-2, 1e-3):
        parameters_KP = before_KP + size * _drawn(before_KP, 1)
        (before,), (after,) = _blocks(layout, before_KP[0]), _blocks(layout, parameters_KP[0])
        rotation = before.T @ (after - before) / 1.3**2
        exact = before @ torch.linalg.matrix_exp(lr_factor * (rotation - rotation.T) / 2)
        make_constraint([init], layout).retract_(parameters_KP, before_KP, _active(1))
        errors.append(float((after - exact).norm()))
    # A tenth of the step has a hundredth of the error.
    assert errors[1] / errors[0] == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize(("kind", "num_layers"), [("rnn", 2), ("gru", 1)])
def test_blocks_stay_orthogonal_over_a_thousand_steps(
    kind: Literal["rnn", "gru"], num_layers: int
) -> None:
    """In float32 every gate of every layer is gain times orthogonal to 1e-5 after 1,000 steps."""
    layout = _layout(kind, 16, num_layers)
    constraint = make_constraint([_constrained(0.9)], layout)
    parameters_KP = _start(layout, [_constrained(0.9)], torch.float32)
    for step in range(1_000):
        before_KP = parameters_KP.clone()
        parameters_KP += 0.05 * _drawn(parameters_KP, step)
        constraint.retract_(parameters_KP, before_KP, _active(1))
    blocks = _blocks(layout, parameters_KP[0])
    assert len(blocks) == (3 if kind == "gru" else num_layers)
    for block in blocks:
        torch.testing.assert_close(block.T @ block / 0.81, torch.eye(16), rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(size=st.floats(1e-6, 1e6), seed=st.integers(0, 100))
def test_any_finite_update_gives_an_orthogonal_block(size: float, seed: int) -> None:
    """However large the update, what comes out is orthogonal."""
    layout = _layout(hidden_size=7)
    before_KP = _start(layout, [_constrained()])
    parameters_KP = before_KP + size * _drawn(before_KP, seed)
    make_constraint([_constrained()], layout).retract_(parameters_KP, before_KP, _active(1))
    (block,) = _blocks(layout, parameters_KP[0])
    torch.testing.assert_close(block.T @ block, torch.eye(7).double(), rtol=0, atol=1e-12)


def test_the_projected_gradient_is_the_gradient_along_rotations() -> None:
    """Its product with any tangent direction Q B, B skew, is the gradient's; it is tangent too."""
    layout, init = _layout(hidden_size=5), _constrained(1.3)
    parameters_KP = _start(layout, [init])
    gradients_KP = _drawn(parameters_KP, 1)
    (full,), (weight,) = _blocks(layout, gradients_KP[0].clone()), _blocks(layout, parameters_KP[0])
    make_constraint([init], layout).project_gradients_(gradients_KP, parameters_KP)
    (projected,) = _blocks(layout, gradients_KP[0])
    square = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    direction = weight @ (square - square.T)
    torch.testing.assert_close((projected * direction).sum(), (full * direction).sum())
    rotation = weight.T @ projected
    torch.testing.assert_close(rotation, -rotation.T)
    assert projected.norm() < full.norm()


def test_only_recurrent_weights_of_constrained_jobs_are_touched() -> None:
    """Input weights, biases and readout, and all of other jobs, keep their bits."""
    layout = _layout("gru", 4, 2)
    inits = [*FREE, _constrained()]
    constraint = make_constraint(inits, layout)
    before_KP = _start(layout, inits, torch.float32)
    parameters_KP = before_KP + _drawn(before_KP, 1)
    gradients_KP = _drawn(before_KP, 2)
    expected = [parameters_KP.clone(), gradients_KP.clone()]
    constraint.project_gradients_(gradients_KP, before_KP)
    constraint.retract_(parameters_KP, before_KP, _active(4))
    for rows_KP, expected_KP in zip([parameters_KP, gradients_KP], expected, strict=True):
        assert torch.equal(rows_KP[:3], expected_KP[:3])
        for name, tensor in layout.named(rows_KP[3]).items():
            same = torch.equal(tensor, layout.named(expected_KP[3])[name])
            assert same == (not name.startswith("rnn.weight_hh"))


def test_a_refused_update_keeps_every_bit() -> None:
    """A job whose update was not made has the block it had."""
    layout = _layout(hidden_size=6)
    before_KP = _start(layout, [_constrained(1.1)], torch.float32)
    parameters_KP = before_KP.clone()
    constraint = make_constraint([_constrained(1.1)], layout)
    constraint.retract_(parameters_KP, before_KP, torch.zeros(1, dtype=torch.bool))
    assert torch.equal(parameters_KP, before_KP)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_broken_gradient_stays_broken(bad: float) -> None:
    """A gradient that is not finite does not look sound once it is projected."""
    layout = _layout(hidden_size=6)
    parameters_KP = _start(layout, [_constrained()], torch.float32)
    gradients_KP = _drawn(parameters_KP, 1)
    (block,) = _blocks(layout, gradients_KP[0])
    block[2, 3] = bad
    make_constraint([_constrained()], layout).project_gradients_(gradients_KP, parameters_KP)
    assert not block.isfinite().all()


def test_the_constraint_stays_on_its_device() -> None:
    """Nothing is copied to the host; torch's meta device has no data and would raise."""
    layout = _layout("gru", 4, 2)
    before_KP = _start(layout, [_constrained()], torch.float32).to("meta")
    constraint = make_constraint([_constrained()], layout)
    constraint.project_gradients_(torch.empty_like(before_KP), before_KP)
    parameters_KP = torch.empty_like(before_KP)
    constraint.retract_(parameters_KP, before_KP, _active(1).to("meta"))
    assert parameters_KP.device.type == "meta"


def test_a_job_in_a_pack_has_the_bits_it_has_alone() -> None:
    """Gradient and parameters of every constrained job are those of a pack of one."""
    layout = _layout("gru", 9, 1)
    inits = [_constrained(), None, _constrained(1.2, 0.1), _constrained(0.7, 0.5)]
    before_KP = _start(layout, inits, torch.float32)
    gradients_KP = _drawn(before_KP, 1)
    parameters_KP = before_KP + 0.1 * _drawn(before_KP, 2)
    alone = [(gradients_KP[k : k + 1].clone(), parameters_KP[k : k + 1].clone()) for k in range(4)]
    together = make_constraint(inits, layout)
    together.project_gradients_(gradients_KP, before_KP)
    together.retract_(parameters_KP, before_KP, _active(4))
    for k, (gradient_1P, parameter_1P) in enumerate(alone):
        single, before_1P = make_constraint([inits[k]], layout), before_KP[k : k + 1]
        single.project_gradients_(gradient_1P, before_1P)
        single.retract_(parameter_1P, before_1P, _active(1))
        assert torch.equal(gradients_KP[k], gradient_1P[0])
        assert torch.equal(parameters_KP[k], parameter_1P[0])
