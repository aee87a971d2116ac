"""The cells that are computed by a scan, as their papers write them: a loop, left to autograd.

Shapes: T time steps, B sequences, I inputs, H hidden units.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional


def min_gru_step(
    x_BI: Tensor, h_BH: Tensor, parameters: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """The state h = (1 - z) * h + z * (W_h x + b_h), which is the output, too."""
    z_BH, candidate_BH = _gates(x_BI, parameters, 2)
    z_BH = z_BH.sigmoid()
    state_BH = (1 - z_BH) * h_BH + z_BH * candidate_BH
    return state_BH, state_BH


def min_lstm_step(
    x_BI: Tensor, h_BH: Tensor, parameters: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """The state h = f/(f+i) * h + i/(f+i) * (W_h x + b_h), which is the output, too."""
    forget_BH, write_BH, candidate_BH = _gates(x_BI, parameters, 3)
    f_BH, i_BH = forget_BH.sigmoid(), write_BH.sigmoid()
    total_BH = f_BH + i_BH
    state_BH = f_BH / total_BH * h_BH + i_BH / total_BH * candidate_BH
    return state_BH, state_BH


def lru_step(x_BI: Tensor, s_BH: Tensor, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The output gelu(Re(C s) + D x) of the state s = Lambda s + gamma B x."""
    nu, theta = parameters["nu_log"].exp(), parameters["theta_log"].exp()
    decay_H = torch.exp(torch.complex(-nu, theta))
    b_HI = torch.complex(parameters["b_real"], parameters["b_imag"])
    c_HH = torch.complex(parameters["c_real"], parameters["c_imag"])
    drive_BH = parameters["gamma_log"].exp() * (x_BI.to(b_HI.dtype) @ b_HI.T)
    state_BH = decay_H * s_BH + drive_BH
    return functional.gelu((state_BH @ c_HH.T).real + x_BI @ parameters["d"].T), state_BH


STEPS = {"min_gru": min_gru_step, "min_lstm": min_lstm_step, "lru": lru_step}


def run(
    kind: str, x_TBI: Tensor, state_BH: Tensor, parameters: Mapping[str, Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """The outputs (T, B, H) of one job, and the state after each step."""
    outputs, states = [], []
    for x_BI in x_TBI:
        output_BH, state_BH = STEPS[kind](x_BI, state_BH, parameters)
        outputs.append(output_BH)
        states.append(state_BH)
    return torch.stack(outputs), states


def _gates(x_BI: Tensor, parameters: Mapping[str, Tensor], count: int) -> tuple[Tensor, ...]:
    return (x_BI @ parameters["weight_ih"].T + parameters["bias_ih"]).chunk(count, dim=1)
