"""The spectral radius of what the cells beside torch's own have instead of one W_hh."""

import pytest
import torch

from tests.worker.training.networks import INPUTS, draw_network, spec_of
from worker.training.flow import collect_flow
from worker.training.measures import spectral_radius
from worker.training.parameters import NetworkParameters, ParameterLayout


def parameters_of(kind: str, **cell: object) -> NetworkParameters:
    """All zero, in float64."""
    layout = ParameterLayout(spec_of(kind, **cell), INPUTS, 1)
    return layout.views(torch.zeros(1, layout.num_parameters, dtype=torch.float64))


@pytest.mark.parametrize("name", ["weight_hh", "weight_hh_reverse"])
def test_larger_direction_counts(name: str) -> None:
    """The radius is the largest over both directions."""
    parameters = parameters_of("rnn", bidirectional=True)
    parameters.layers[0][name].copy_(3 * torch.eye(4))

    assert spectral_radius(parameters).item() == pytest.approx(3, rel=1e-3)


def test_radius_of_an_lru_is_its_largest_decay() -> None:
    """|Lambda| = exp(-exp(nu_log)), the largest over units and layers."""
    parameters = parameters_of("lru", num_layers=2)
    for layer, first in zip(parameters.layers, (0.9, 0.7), strict=True):
        moduli = torch.tensor([first, 0.5, 0.25, 0.1], dtype=torch.float64)
        layer["nu_log"].copy_((-moduli.log()).log())

    assert spectral_radius(parameters).item() == pytest.approx(0.9, rel=1e-12)


@pytest.mark.parametrize("kind", ["min_gru", "min_lstm"])
def test_minimal_cell_has_no_radius(kind: str) -> None:
    """Nothing recurs by a weight, so the record says none, not a number."""
    network = draw_network(spec_of(kind))
    lesson, _ = network.learn()
    parameters = network.teacher.layout.views(network.parameters_KP)
    flow = collect_flow(lesson.flows, parameters, with_radius=True)

    assert flow.record(1, 0, with_radius=True).spectral_radius is None
