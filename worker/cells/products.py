"""What every reference cell has in common outside its loop over time.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units, G gates times H.
"""

import torch
from torch import Tensor

from worker.training.parameters import LayerParameters

# A sigmoid gate this close to 0 or 1 is at its flat end.
GATE_FLAT = 0.05


def project_input(x_KTBI: Tensor, weight_KGI: Tensor, bias_KG: Tensor) -> Tensor:
    """W x_t + b for all time steps in one product: (K, T, B, G)."""
    jobs, time_steps, sequences, _ = x_KTBI.shape
    projected_KNG = torch.baddbmm(
        bias_KG.unsqueeze(1), x_KTBI.flatten(1, 2), weight_KGI.transpose(1, 2)
    )
    return projected_KNG.view(jobs, time_steps, sequences, -1)


def gradient_by_states(
    grad_h_KSBH: Tensor, time_steps: int, grad_final_KBH: Tensor | None
) -> Tensor:
    """The gradient from outside by every state, to be completed step by step: (K, T, B, H)."""
    jobs, answered, sequences, size = grad_h_KSBH.shape
    gradient_KTBH = grad_h_KSBH.new_zeros(jobs, time_steps, sequences, size)
    gradient_KTBH[:, time_steps - answered :] = grad_h_KSBH
    if grad_final_KBH is not None:
        gradient_KTBH[:, -1] += grad_final_KBH
    return gradient_KTBH


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
    product_KGI = _product_over_steps(delta_KNG, x_KTBI.flatten(1, 2))
    gradients["weight_ih"].copy_(product_KGI)
    gradients["bias_ih"].copy_(delta_KNG.sum(dim=1))
    if not needs_grad_x:
        return None
    return torch.bmm(delta_KNG, parameters["weight_ih"]).view(x_KTBI.shape)


def hidden_gradients(
    initial_KBH: Tensor, h_KTBH: Tensor, delta_KTBG: Tensor, gradients: LayerParameters
) -> None:
    """From the deltas of W_hh h_{t-1} + b_hh: fill those gradients; `initial` is h_0."""
    previous_KNH = h_KTBH[:, :-1].flatten(1, 2)
    product_KGH = _product_over_steps(delta_KTBG[:, 1:].flatten(1, 2), previous_KNH)
    first_KGH = torch.bmm(delta_KTBG[:, 0].transpose(1, 2), initial_KBH)
    gradients["weight_hh"].copy_(product_KGH.add_(first_KGH))
    gradients["bias_hh"].copy_(delta_KTBG.flatten(1, 2).sum(dim=1))


def gate_saturation(gates_KTBN: Tensor) -> Tensor:
    """(K,) float64 share of sigmoid gates g with min(g, 1-g) < 0.05."""
    flat_KTBN = (gates_KTBN - 0.5).abs() > 0.5 - GATE_FLAT
    return flat_KTBN.double().mean(dim=(1, 2, 3))


def _product_over_steps(delta_KNG: Tensor, input_KNI: Tensor) -> Tensor:
    """Sum over N of delta input^T, (K, G, I)."""
    # The transpose of what is wanted: with few inputs it is seven times as fast.
    return torch.bmm(input_KNI.transpose(1, 2), delta_KNG).transpose(1, 2)
