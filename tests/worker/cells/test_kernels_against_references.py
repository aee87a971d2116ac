"""Every kernel for the CPU computes what its reference says, but for rounding in float32.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
H hidden units.
"""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from contract.spec import JobSpec
from tests.worker.cells.kernel_layers import KernelLayer, Sizes, draw_layer, drawn_sizes

KINDS = ("rnn", "gru", "lstm")
SLOPES = (0.01, 0.3, 0.9)
COSTS = (0.0, 0.5, 0.1)
#: Of the flow: shares and flags.
COUNTED = ("saturation_K", "silent_KH", "update_fraction_K")


SMALL = Sizes(
    jobs=2,
    time_steps=5,
    answered=5,
    sequences=3,
    inputs=2,
    hidden=4,
    has_initial=False,
    has_grad_final=False,
    needs_grad_x=True,
    seed=0,
)


def _spec(kind: str, hidden: int, **remedy: object) -> JobSpec:
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "adding"},
            "cell": {"kind": kind, "hidden_size": hidden},
            "remedy": remedy,
        }
    )


def _assert_equals_reference(layer: KernelLayer) -> None:
    """All that a run brings, in every job: real numbers within rounding, counts exactly."""
    ours, expected = layer.run(), layer.in_float64().run()

    assert ours.keys() == expected.keys()
    for name, tensor in expected.items():
        if name in COUNTED:
            torch.testing.assert_close(ours[name], tensor, rtol=1e-12, atol=0)
            continue
        # Sums of large terms may be small: what was rounded are the terms.
        largest = float(tensor.abs().max()) if tensor.numel() else 0.0
        torch.testing.assert_close(
            ours[name].double(),
            tensor,
            rtol=2e-5,
            # Near 0 the kernels' sigmoid is 2e-7 off, however small the number.
            atol=2e-5 * largest + 5e-7,
            msg=lambda text, name=name: f"{name}: {text}",  # type: ignore[misc]
        )


@pytest.mark.parametrize("kind", KINDS)
@given(sizes=drawn_sizes)
def test_kernel_is_the_reference(kind: str, sizes: Sizes) -> None:
    """States, all gradients and the flow, from a state or from 0, answered or not."""
    _assert_equals_reference(draw_layer(_spec(kind, sizes.hidden), sizes))


@given(sizes=drawn_sizes)
def test_relu_kernel_is_the_reference(sizes: Sizes) -> None:
    """The states may grow, units may be silent, and which ones is told."""
    spec = _spec("rnn", sizes.hidden, activation={"kind": "relu"})

    _assert_equals_reference(draw_layer(spec, sizes))


@given(sizes=drawn_sizes)
def test_leaky_kernel_is_the_reference_with_each_jobs_slope(sizes: Sizes) -> None:
    """Every job of a pack has a slope of its own."""
    specs = [
        _spec(
            "rnn",
            sizes.hidden,
            activation={"kind": "leaky_relu", "negative_slope": SLOPES[job % 3]},
        )
        for job in range(sizes.jobs)
    ]

    _assert_equals_reference(draw_layer(specs[0], sizes, specs))


def _updates(layer: KernelLayer) -> Tensor:
    """Which steps but the first update a sequence, (K, T-1, B): a copied state has equal bits."""
    h_KTBH = layer.forward().h_KTBH
    return (h_KTBH[:, 1:] != h_KTBH[:, :-1]).any(dim=3)


def _is_clear_cut(layer: KernelLayer) -> bool:
    """Whether no step is updated or copied by a hair.

    Where p is near 1/2, rounding decides, and two right answers have nothing in common. So a draw
    counts only if its updates stay as they are when every rate moves by more than rounding could.
    """
    bias_K1 = layer.parameters["skip_bias"]
    patterns = [
        _updates(layer.with_parameters(skip_bias=bias_K1 + shift)) for shift in (-1e-4, 0, 1e-4)
    ]
    return all(torch.equal(patterns[0], pattern) for pattern in patterns)


@pytest.mark.parametrize("kind", KINDS)
@given(sizes=drawn_sizes, activation=st.sampled_from(["tanh", "relu"]))
def test_skipping_kernel_is_the_reference(kind: str, sizes: Sizes, activation: str) -> None:
    """With a gate, its gradients, each job's cost and the share of updates."""
    chosen = {"activation": {"kind": activation}} if kind == "rnn" else {}
    specs = [
        _spec(kind, sizes.hidden, skip={"kind": "learned", "cost": COSTS[job % 3]}, **chosen)
        for job in range(sizes.jobs)
    ]
    layer = draw_layer(specs[0], sizes, specs)
    assume(_is_clear_cut(layer.in_float64()))

    _assert_equals_reference(layer)


@pytest.mark.parametrize("skip", [None, {"kind": "learned"}])
@pytest.mark.parametrize("odd_one", [torch.nan, torch.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_input_that_is_no_number_reaches_every_gradient(
    kind: str, odd_one: float, skip: dict[str, object] | None
) -> None:
    """A nan or an infinity is in its job's gradients, and in no other sequence's state."""
    layer = draw_layer(_spec(kind, 4, skip=skip), SMALL)
    layer.x_KTBI[0, 1, 2, 0] = odd_one
    outcome = layer.run()

    assert outcome["gradient of weight_ih"][1].isfinite().all()
    assert not outcome["gradient of weight_ih"][0].isfinite().all()
    assert outcome["h"][0, :, :2].isfinite().all()


@pytest.mark.parametrize("kind", ["relu", "leaky_relu"])
@pytest.mark.parametrize("odd_one", [torch.nan, torch.inf])
def test_line_through_what_is_no_number(kind: str, odd_one: float) -> None:
    """A state of two straight lines is not finite where its input is not."""
    layer = draw_layer(_spec("rnn", 4, activation={"kind": kind}), SMALL)
    layer.x_KTBI[0, 1, 1] = odd_one
    h_KTBH = layer.forward().h_KTBH

    assert not h_KTBH[0, 1, 1].isfinite().all()
    assert h_KTBH[0, :, 0].isfinite().all()
