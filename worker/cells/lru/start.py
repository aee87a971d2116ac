"""How a linear recurrent unit starts: its memories spread over a ring of the complex plane.

Shapes: I inputs, H hidden units, as many complex numbers in the state.
"""

import math

import torch
from torch import Tensor

from contract.spec import Lru
from worker.training.parameters import LayerParameters

# Keeps the logarithms finite; a state of this |Lambda| loses 1e-12 a step, less than is ever seen.
_EDGE = 1e-12


def start_lru(layer: LayerParameters, cell: Lru, generator: torch.Generator) -> None:
    """Fill one direction of one layer in place, every number drawn in float64.

    Lambda is uniform on the part of the ring r_min <= |Lambda| <= r_max with phases from 0 to
    max_phase; gamma = sqrt(1 - |Lambda|^2) keeps the state as large as B x_t for white noise. The
    real and imaginary parts of B come from N(0, 1/2I), those of C from N(0, 1/H), D from N(0, 1/I).

    Source:
        Orvieto et al., "Resurrecting recurrent neural networks for long sequences", ICML 2023,
        section 3.
    """
    hidden, inputs = layer["b_real"].shape
    area_H = torch.rand(hidden, dtype=torch.float64, generator=generator)
    square_H = area_H * (cell.r_max**2 - cell.r_min**2) + cell.r_min**2
    square_H.clamp_(_EDGE, 1 - _EDGE)
    phase_H = cell.max_phase * torch.rand(hidden, dtype=torch.float64, generator=generator)
    layer["nu_log"].copy_((-0.5 * square_H.log()).log())
    layer["theta_log"].copy_(phase_H.clamp_(min=_EDGE).log())
    layer["gamma_log"].copy_(0.5 * (1 - square_H).log())
    for name in ("b_real", "b_imag"):
        _draw_normal(layer[name], 1 / math.sqrt(2 * inputs), generator)
    for name in ("c_real", "c_imag"):
        _draw_normal(layer[name], 1 / math.sqrt(hidden), generator)
    _draw_normal(layer["d"], 1 / math.sqrt(inputs), generator)


def _draw_normal(tensor: Tensor, std: float, generator: torch.Generator) -> None:
    drawn = torch.empty(tensor.shape, dtype=torch.float64)
    tensor.copy_(drawn.normal_(std=std, generator=generator))
