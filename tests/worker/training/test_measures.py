"""The spectral radius against an eigenvalue solver and by hand."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from contract.spec import JobSpec
from worker.training.measures import spectral_radius
from worker.training.parameters import NetworkParameters, ParameterLayout


def _network(kind: str, weights: list[Tensor]) -> NetworkParameters:
    """A one-layer network whose jobs have the given W_hh."""
    size = weights[0].shape[1]
    cell = {"kind": kind, "hidden_size": size}
    spec = JobSpec.model_validate({"dataset": {"kind": "adding"}, "cell": cell})
    layout = ParameterLayout(spec, 1, 1)
    network = layout.views(torch.zeros(len(weights), layout.num_parameters, dtype=torch.float64))
    network.layers[0]["weight_hh"].copy_(torch.stack(weights))
    return network


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 40), seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
def test_radius_equals_largest_eigenvalue(size: int, seed: int, scale: float) -> None:
    """For any matrix it is the largest absolute eigenvalue, within a thousandth."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(size, size, generator=generator, dtype=torch.float64) * scale
    expected = torch.linalg.eigvals(weight).abs().max()
    (radius,) = spectral_radius(_network("rnn", [weight]))

    torch.testing.assert_close(radius, expected, rtol=1e-3, atol=0)


def test_radius_is_the_largest_over_gates() -> None:
    """Of four gate blocks r*I the largest r counts, for each job by itself."""
    eye = torch.eye(3, dtype=torch.float64)
    first = torch.cat([0.1 * eye, 0.2 * eye, 0.3 * eye, 0.25 * eye])
    radius_K = spectral_radius(_network("lstm", [first, 2 * first]))

    torch.testing.assert_close(
        radius_K, torch.tensor([0.3, 0.6], dtype=torch.float64), rtol=1e-4, atol=0
    )


def test_radius_of_rotation_is_its_scale() -> None:
    """Complex eigenvalues count by their absolute value."""
    rotation = 1.2 * torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    (radius,) = spectral_radius(_network("rnn", [rotation]))

    torch.testing.assert_close(radius.item(), 1.2, rtol=1e-4, atol=0)


def test_radius_of_nilpotent_matrix_is_zero() -> None:
    """A matrix with no eigenvalue but 0 has radius 0, not nan."""
    nilpotent = torch.tensor([[0.0, 5.0], [0.0, 0.0]], dtype=torch.float64)

    assert spectral_radius(_network("rnn", [nilpotent])).tolist() == [0.0]


def test_radius_of_broken_matrix_is_nan_for_its_job_alone() -> None:
    """A weight that is inf or nan leaves the other jobs' radii as they are."""
    eye = torch.eye(2, dtype=torch.float64)
    radius_K = spectral_radius(_network("rnn", [eye * torch.inf, eye * torch.nan, eye]))

    assert radius_K.isnan().tolist() == [True, True, False]
