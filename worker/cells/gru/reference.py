"""The gated recurrent unit in tensor operations, equal to `torch.nn.GRU` in values and gradients.

    r, z = sigmoid(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)
    n = tanh(W_in x_t + b_in + r * m),  m = W_hn h_{t-1} + b_hn
    h_t = (1-z) * n + z * h_{t-1}

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units, G = 3H in the order
r, z, n. The reset gate comes after the product, as in torch and cuDNN.

Source:
    Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014.
"""

import torch
from torch import Tensor

from worker.cells.cell import State
from worker.cells.products import (
    gate_saturation,
    hidden_gradients,
    input_gradients,
    project_input,
)
from worker.cells.recurrence import Recurrence, Trajectory
from worker.cells.unrolled import UnrolledCell
from worker.training.parameters import LayerParameters


class GruReference(UnrolledCell):
    """A GRU layer."""

    def begin(self, x_KTBI: Tensor, parameters: LayerParameters) -> Recurrence:
        """The equations for these inputs."""
        return _GruRecurrence(x_KTBI, parameters)


class _GruRecurrence(Recurrence):
    def __init__(self, x_KTBI: Tensor, parameters: LayerParameters) -> None:
        self._x_KTBI = x_KTBI
        self._parameters = parameters
        self._weight_KGH = parameters["weight_hh"]
        self._weight_KHG = self._weight_KGH.transpose(1, 2)
        self._size = self._weight_KGH.shape[2]
        self._bias_K1G = parameters["bias_hh"][:, None]
        # The gates' input side until a step turns it into r, z and n; and W_hh h_{t-1} + b_hh.
        self._gates_KTBG = project_input(x_KTBI, parameters["weight_ih"], parameters["bias_ih"])
        self._hidden_KTBG = torch.empty_like(self._gates_KTBG)
        h_KTBH = self._gates_KTBG.new_empty(*self._gates_KTBG.shape[:3], self._size)
        self.proposed = (h_KTBH,)
        rz = slice(2 * self._size)
        self._steps = list(
            zip(
                h_KTBH.unbind(1),
                self._hidden_KTBG.unbind(1),
                self._gates_KTBG[..., rz].unbind(1),
                self._hidden_KTBG[..., rz].unbind(1),
                *(gate.unbind(1) for gate in self._gates_KTBG.chunk(3, dim=3)),
                self._hidden_KTBG[..., 2 * self._size :].unbind(1),
                strict=True,
            )
        )

    def step(self, step: int, before: State) -> None:
        h_KBH, hidden, rz, hidden_rz, reset, update, new, m = self._steps[step]
        torch.baddbmm(self._bias_K1G, before[0], self._weight_KHG, out=hidden)
        rz.add_(hidden_rz).sigmoid_()
        new.addcmul_(reset, m).tanh_()
        torch.lerp(new, before[0], update, out=h_KBH)

    def saturation(self) -> Tensor:
        return gate_saturation(self._gates_KTBG[..., : 2 * self._size])

    def start_backward(self, trajectory: Trajectory) -> None:
        """Turn what was kept into what dL/dh_t is to be multiplied by.

        With s = (1-z) * (1-n^2), dL/dh_t times these is the gradient by W_hh h_{t-1} + b_hh:
        r: s * m * r * (1-r);  z: (h_{t-1} - n) * z * (1-z);  n: s * r.
        They replace `hidden`; s replaces the gate n, for the gradient by the input.
        """
        reset, update, new = self._gates_KTBG.chunk(3, dim=3)
        to_reset, to_update, to_new = self._hidden_KTBG.chunk(3, dim=3)
        keep_KTBH = update.clone()
        opposite_KTBH = 1 - keep_KTBH
        torch.neg(new, out=to_update)
        to_update[:, 0].add_(trajectory.initial[0])
        to_update[:, 1:].add_(trajectory.states[0][:, :-1])
        to_update.mul_(keep_KTBH).mul_(opposite_KTBH)
        new.mul_(new).neg_().add_(1).mul_(opposite_KTBH)
        to_new.mul_(new).mul_(reset)
        torch.mul(to_new, 1 - reset, out=to_reset)
        torch.mul(new, reset, out=to_new)
        self.delta_hidden_KTBG = self._hidden_KTBG
        factors_KTB3H = self._hidden_KTBG.view(*keep_KTBH.shape[:3], 3, -1)
        self._back_steps = list(
            zip(
                self._hidden_KTBG.unbind(1),
                factors_KTB3H.unbind(1),
                keep_KTBH.unbind(1),
                strict=True,
            )
        )

    def step_back(self, step: int, grad: State, grad_before: State) -> None:
        delta_KBG, factor_KB3H, keep_KBH = self._back_steps[step]
        factor_KB3H.mul_(grad[0].unsqueeze(2))
        grad_before[0].addcmul_(grad[0], keep_KBH)
        grad_before[0].baddbmm_(delta_KBG, self._weight_KGH)

    def finish_backward(
        self,
        trajectory: Trajectory,
        grads: State,
        gradients: LayerParameters,
        *,
        needs_grad_x: bool,
    ) -> Tensor | None:
        hidden_gradients(trajectory.initial[0], trajectory.states[0], self._hidden_KTBG, gradients)
        # The gradient by the input side is that by the hidden side, but for n without the factor r.
        rz = slice(2 * self._size)
        self._gates_KTBG[..., rz].copy_(self._hidden_KTBG[..., rz])
        self._gates_KTBG[..., 2 * self._size :].mul_(grads[0])
        return input_gradients(
            self._x_KTBI, self._gates_KTBG, self._parameters, gradients, needs_grad_x=needs_grad_x
        )
