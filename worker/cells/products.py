"""The matrix products of a layer that need no loop over time.

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units, G gates times H.
"""

import torch
from torch import Tensor

from worker.training.parameters import LayerParameters

# A sigmoid gate this close to 0 or 1 is at its flat end.
_GATE_FLAT = 0.05


def project_input(x_KTBI: Tensor, weight_KGI: Tensor, bias_KG: Tensor) -> Tensor:
    """W x_t + b for all time steps in one product: (K, T, B, G)."""
    jobs, time_steps, sequences, _ = x_KTBI.shape
    projected_KNG = torch.baddbmm(
        bias_KG.unsqueeze(1), x_KTBI.flatten(1, 2), weight_KGI.transpose(1, 2)
    )
    return projected_KNG.view(jobs, time_steps, sequences, -1)


def input_gradients(
    x_KTBI: Tensor,
    delta_KTBG: Tensor,
    parameters: LayerParameters,
    gradients: LayerParameters,
    *,
    needs_grad_x: bool,
) -> Tensor | None:
    """From the deltas of W_ih x_t + b_ih: fill those gradients, and return the one of x."""
    delta_KNG = delta_KTBG.flatten(1, 2)
    _product_over_steps(delta_KNG, x_KTBI.flatten(1, 2), gradients.weight_ih)
    gradients.bias_ih.copy_(delta_KNG.sum(dim=1))
    if not needs_grad_x:
        return None
    return torch.bmm(delta_KNG, parameters.weight_ih).view(x_KTBI.shape)


def hidden_gradients(h_KTBH: Tensor, delta_KTBG: Tensor, gradients: LayerParameters) -> None:
    """From the deltas of W_hh h_{t-1} + b_hh: fill those gradients; h_0 is 0."""
    previous_KNH = h_KTBH[:, :-1].flatten(1, 2)
    _product_over_steps(delta_KTBG[:, 1:].flatten(1, 2), previous_KNH, gradients.weight_hh)
    gradients.bias_hh.copy_(delta_KTBG.flatten(1, 2).sum(dim=1))


def gate_saturation(gates_KTBN: Tensor) -> Tensor:
    """(K,) float64 share of sigmoid gates g with min(g, 1-g) < 0.05."""
    flat_KTBN = (gates_KTBN - 0.5).abs() > 0.5 - _GATE_FLAT
    return flat_KTBN.double().mean(dim=(1, 2, 3))


def _product_over_steps(delta_KNG: Tensor, input_KNI: Tensor, gradient_KGI: Tensor) -> None:
    # The transpose of what is wanted: with few inputs it is seven times as fast.
    gradient_KGI.copy_(torch.bmm(input_KNI.transpose(1, 2), delta_KNG).transpose(1, 2))
