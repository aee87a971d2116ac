"""Gradients to clip, of a small network or of a single vector.

Shapes: K jobs, P parameters.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from contract.spec import Clipping
from tests.worker.training.layouts import layout_of
from worker.remedies.clipping import make_clipping
from worker.training.parameters import ParameterLayout


def layout() -> ParameterLayout:
    """Two GRU layers of three units on one input."""
    return layout_of("gru", hidden_size=3, num_layers=2, outputs=2)


def drawn_gradients(num_jobs: int, step: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Gradients of very different norms, and parameters whose first-layer biases are 0."""
    generator = torch.Generator().manual_seed(step)
    shape = num_jobs, layout().num_parameters
    scale_K1 = torch.rand((num_jobs, 1), generator=generator).mul(4).exp()
    gradients_KP = (torch.randn(shape, generator=generator) * scale_K1).to(dtype)
    parameters_KP = torch.randn(shape, generator=generator).to(dtype)
    layout().named(parameters_KP)["rnn.bias_hh_l0"].zero_()
    return gradients_KP, parameters_KP


def clip(gradients_KP: Tensor, clippings: Sequence[Clipping | None]) -> tuple[Tensor, Tensor]:
    """Clip once by rules that look at neither past nor weights."""
    clipping = make_clipping(clippings, layout(), gradients_KP.device)
    return clipping.clip(gradients_KP, torch.zeros_like(gradients_KP))
