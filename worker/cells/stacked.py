"""How the kernels for the CPU lay out a layer: one product a time step, with bias and input in it.

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units, G gates times H,
F = H + 1 + I rows of what a step reads: the state before it, a 1 for the bias, its input.

Sequences come last, so that a gate's numbers lie side by side: a = W z_t is one product, and so are
the gradients of all of W and of all of z_t.
"""

import torch
from torch import Tensor

from worker.cells.cell import State
from worker.training.parameters import LayerParameters


def stack_inputs(x_KTBI: Tensor, initial: State | None, hidden_size: int) -> Tensor:
    """z, (K, T+1, F, B): row t is what step t reads; only the input and the first state are set.

    Step t writes its state into row t + 1; of the last row only the state is ever used.
    """
    jobs, time_steps, sequences, inputs = x_KTBI.shape
    z_KTFB = x_KTBI.new_empty(jobs, time_steps + 1, hidden_size + 1 + inputs, sequences)
    z_KTFB[:, :-1, hidden_size] = 1
    z_KTFB[:, :-1, hidden_size + 1 :] = x_KTBI.transpose(2, 3)
    first_KHB = z_KTFB[:, 0, :hidden_size]
    first_KHB.copy_(initial[0].transpose(1, 2)) if initial else first_KHB.zero_()
    return z_KTFB


def states_of(z_KTFB: Tensor, hidden_size: int) -> Tensor:
    """The states h_1 ... h_T in z, as a view (K, T, B, H)."""
    return z_KTFB[:, 1:, :hidden_size].transpose(2, 3)


def stack_weights(parameters: LayerParameters) -> Tensor:
    """W, (K, G, F), of a cell that adds both biases."""
    bias_KG1 = (parameters["bias_ih"] + parameters["bias_hh"]).unsqueeze(2)
    return torch.cat([parameters["weight_hh"], bias_KG1, parameters["weight_ih"]], dim=2)


def unstack_gradients(grad_KGF: Tensor, gradients: LayerParameters) -> None:
    """Fill a layer's gradients from that of W."""
    size = gradients["weight_hh"].shape[2]
    gradients["weight_hh"].copy_(grad_KGF[:, :, :size])
    gradients["bias_ih"].copy_(grad_KGF[:, :, size])
    gradients["bias_hh"].copy_(grad_KGF[:, :, size])
    gradients["weight_ih"].copy_(grad_KGF[:, :, size + 1 :])
