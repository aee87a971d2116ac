"""The long short-term memory in tensor operations, equal to `torch.nn.LSTM` in all gradients.

    i, f, o = sigmoid(...),  g = tanh(...)  of  W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
    c_t = f * c_{t-1} + i * g,  h_t = o * tanh(c_t)

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units, G = 4H in the order
i, f, g, o.

Source:
    Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 1997; the forget gate of
    Gers, Schmidhuber & Cummins, 2000.
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


class LstmReference(UnrolledCell):
    """An LSTM layer; its state is h and c."""

    def begin(self, x_KTBI: Tensor, parameters: LayerParameters) -> Recurrence:
        """The equations for these inputs."""
        return _LstmRecurrence(x_KTBI, parameters)


class _LstmRecurrence(Recurrence):
    def __init__(self, x_KTBI: Tensor, parameters: LayerParameters) -> None:
        self._x_KTBI = x_KTBI
        self._parameters = parameters
        self._weight_KGH = parameters["weight_hh"]
        self._weight_KHG = self._weight_KGH.transpose(1, 2)
        size = self._weight_KGH.shape[2]
        bias_KG = parameters["bias_ih"] + parameters["bias_hh"]
        # The input side of the gates until a step turns it into i, f, g and o.
        self._gates_KTBG = project_input(x_KTBI, parameters["weight_ih"], bias_KG)
        self._h_KTBH = self._gates_KTBG.new_empty(*self._gates_KTBG.shape[:3], size)
        c_KTBH = torch.empty_like(self._h_KTBH)
        self._squashed_KTBH = torch.empty_like(self._h_KTBH)  # tanh(c_t)
        self.proposed = (self._h_KTBH, c_KTBH)
        self._steps = list(
            zip(
                self._gates_KTBG.unbind(1),
                self._gates_KTBG[..., : 2 * size].unbind(1),
                *(gate.unbind(1) for gate in self._gates_KTBG.chunk(4, dim=3)),
                c_KTBH.unbind(1),
                self._squashed_KTBH.unbind(1),
                self._h_KTBH.unbind(1),
                strict=True,
            )
        )

    def step(self, step: int, before: State) -> None:
        gates, input_forget, i, f, g, o, c, squashed, h = self._steps[step]
        gates.baddbmm_(before[0], self._weight_KHG)
        input_forget.sigmoid_()
        g.tanh_()
        o.sigmoid_()
        torch.mul(f, before[1], out=c).addcmul_(i, g)
        torch.tanh(c, out=squashed)
        torch.mul(o, squashed, out=h)

    def saturation(self) -> Tensor:
        i, f, _, o = self._gates_KTBG.chunk(4, dim=3)
        shares = [gate_saturation(gate) for gate in (i, f, o)]
        return torch.stack(shares).mean(dim=0)

    def start_backward(self, trajectory: Trajectory) -> None:
        """Turn what was kept into what the gradients are to be multiplied by.

        By the whole gradient of c_t: i: g * i * (1-i);  f: c_{t-1} * f * (1-f);  g: i * (1-g^2).
        By that of h_t: o: tanh(c) * o * (1-o), and, to get to c_t, o * (1 - tanh(c)^2), which
        replaces tanh(c). The others replace the gates.
        """
        i, f, g, o = self._gates_KTBG.chunk(4, dim=3)
        keep_KTBH = f.clone()
        f.mul_(1 - keep_KTBH)
        f[:, 1:].mul_(trajectory.states[1][:, :-1])
        f[:, 0].mul_(trajectory.initial[1])
        i_slope_KTBH = (1 - i).mul_(i).mul_(g)
        g.mul_(g).neg_().add_(1).mul_(i)
        i.copy_(i_slope_KTBH)
        h_slope_KTBH = (1 - o).mul_(self._h_KTBH)
        torch.addcmul(o, self._squashed_KTBH, self._h_KTBH, value=-1, out=self._squashed_KTBH)
        o.copy_(h_slope_KTBH)
        self.delta_hidden_KTBG = self._gates_KTBG
        self._grad_c = torch.empty_like(trajectory.initial[1])
        factors_KTB4H = self._gates_KTBG.view(*keep_KTBH.shape[:3], 4, -1)
        self._back_steps = list(
            zip(
                self._gates_KTBG.unbind(1),
                factors_KTB4H[..., :3, :].unbind(1),
                factors_KTB4H[..., 3, :].unbind(1),
                self._squashed_KTBH.unbind(1),
                keep_KTBH.unbind(1),
                strict=True,
            )
        )

    def step_back(self, step: int, grad: State, grad_before: State) -> None:
        delta_KBG, by_c, by_h, to_c, keep_KBH = self._back_steps[step]
        torch.addcmul(grad[1], grad[0], to_c, out=self._grad_c)
        by_c.mul_(self._grad_c.unsqueeze(2))
        by_h.mul_(grad[0])
        grad_before[1].addcmul_(self._grad_c, keep_KBH)
        grad_before[0].baddbmm_(delta_KBG, self._weight_KGH)

    def finish_backward(
        self,
        trajectory: Trajectory,
        grads: State,  # noqa: ARG002 - the deltas are enough
        gradients: LayerParameters,
        *,
        needs_grad_x: bool,
    ) -> Tensor | None:
        hidden_gradients(trajectory.initial[0], trajectory.states[0], self._gates_KTBG, gradients)
        return input_gradients(
            self._x_KTBI, self._gates_KTBG, self._parameters, gradients, needs_grad_x=needs_grad_x
        )
