"""How the kernels for the CPU lay out a layer: one product a time step, with bias and input in it.

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units, G gates times H,
F = H + 1 + I rows of what a step reads: the state before it, a 1 for the bias, its input.

Sequences come last, so that a gate's numbers lie side by side: a = W z_t is one product, and so are
the gradients of all of W and of all of z_t.
"""

import numpy as np
import torch
from torch import Tensor

from worker.cells.cell import State
from worker.cells.compiled import compiled
from worker.cells.matmul import Floats
from worker.training.parameters import LayerParameters


def sequences_last(values_BX: Tensor) -> Floats:
    """(..., B, X) as a contiguous array (..., X, B); no copy where it lies like that already."""
    return values_BX.transpose(-2, -1).contiguous().numpy()


def part_of_state(state: State | None, part: int, like_KXB: Floats, size: int) -> Floats:
    """A part of a state, or of a gradient by it, as a new array (K, H, B); zeros if it is None."""
    shape = like_KXB.shape[0], size, like_KXB.shape[-1]
    if state is None:
        return np.zeros(shape, np.float32)
    return state[part].transpose(1, 2).numpy().copy()


@compiled
def stack_inputs(x_KTIB: Floats, first_KHB: Floats) -> Floats:
    """z, (K, T+1, F, B): row t is what step t reads; only the input and the first state are set.

    Step t writes its state into row t + 1; of the last row only the state is ever used.
    """
    jobs, time_steps, inputs, sequences = x_KTIB.shape
    size = first_KHB.shape[1]
    z_KTFB = np.empty((jobs, time_steps + 1, size + 1 + inputs, sequences), np.float32)
    z_KTFB[:, 0, :size] = first_KHB
    z_KTFB[:, :-1, size] = 1
    z_KTFB[:, :-1, size + 1 :] = x_KTIB
    return z_KTFB


def states_of(z_KTFB: Floats, hidden_size: int) -> Tensor:
    """The states h_1 ... h_T in z, as a view (K, T, B, H)."""
    return torch.from_numpy(z_KTFB)[:, 1:, :hidden_size].transpose(2, 3)


def stack_weights(parameters: LayerParameters) -> Floats:
    """W, (K, G, F), of a cell that adds both biases."""
    bias_KG1 = (parameters["bias_ih"] + parameters["bias_hh"]).unsqueeze(2)
    return torch.cat([parameters["weight_hh"], bias_KG1, parameters["weight_ih"]], dim=2).numpy()


def unstack_gradients(grads: tuple[Floats, Floats], gradients: LayerParameters) -> None:
    """Fill a layer's gradients from those of the two parts of W: of h, and of 1 and x."""
    hidden_KGH, rest_KGR = grads
    np.copyto(gradients["weight_hh"].numpy(), hidden_KGH)
    np.copyto(gradients["bias_ih"].numpy(), rest_KGR[:, :, 0])
    np.copyto(gradients["bias_hh"].numpy(), rest_KGR[:, :, 0])
    np.copyto(gradients["weight_ih"].numpy(), rest_KGR[:, :, 1:])


@compiled
def zeros_like_parts(weight_KGF: Floats, size: int) -> tuple[Floats, Floats]:
    """Room for the gradients of the two parts of W: (K, G, H) and (K, G, 1 + I).

    They lie apart, as each step's term of the first is looked at before it is added.
    """
    jobs, rows, columns = weight_KGF.shape
    hidden_KGH = np.zeros((jobs, rows, size), np.float32)
    return hidden_KGH, np.zeros((jobs, rows, columns - size), np.float32)
