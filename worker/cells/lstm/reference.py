"""The long short-term memory in tensor operations, equal to `torch.nn.LSTM` in all gradients.

    i, f, o = sigmoid(...),  g = tanh(...)  of  W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
    c_t = f * c_{t-1} + i * g,  h_t = o * tanh(c_t),  c_0 = h_0 = 0

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units, G = 4H in the order
i, f, g, o.

Source:
    Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 1997; the forget gate of
    Gers, Schmidhuber & Cummins, 2000.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass, State
from worker.cells.flow import LayerFlow, state_gradient_norm, weight_term_norm
from worker.cells.products import (
    gate_saturation,
    gradient_by_states,
    hidden_gradients,
    input_gradients,
    project_input,
)
from worker.training.parameters import LayerParameters


class LstmReference:
    """An LSTM layer."""

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        bias_KG = parameters["bias_ih"] + parameters["bias_hh"]
        gates_KTBG = project_input(x_KTBI, parameters["weight_ih"], bias_KG)
        size = parameters["weight_hh"].shape[2]
        c_KTBH = gates_KTBG.new_empty(*gates_KTBG.shape[:3], size)
        squashed_KTBH, h_KTBH = torch.empty_like(c_KTBH), torch.empty_like(c_KTBH)
        weight_KHG = parameters["weight_hh"].transpose(1, 2)
        steps = zip(
            gates_KTBG.unbind(1),
            gates_KTBG[..., : 2 * size].unbind(1),
            *(gate.unbind(1) for gate in gates_KTBG.chunk(4, dim=3)),
            c_KTBH.unbind(1),
            squashed_KTBH.unbind(1),
            h_KTBH.unbind(1),
            strict=True,
        )
        zeros_KBH = torch.zeros_like(h_KTBH[:, 0])
        start = (initial[0], initial[1]) if initial else (zeros_KBH, zeros_KBH)
        h_before, c_before = start
        for gates, input_forget, i, f, g, o, c, squashed, h in steps:
            gates.baddbmm_(h_before, weight_KHG)
            input_forget.sigmoid_()
            g.tanh_()
            o.sigmoid_()
            torch.mul(f, c_before, out=c).addcmul_(i, g)
            torch.tanh(c, out=squashed)
            torch.mul(o, squashed, out=h)
            h_before, c_before = h, c
        final = (h_KTBH[:, -1], c_KTBH[:, -1])
        return _LstmPass(
            h_KTBH, final, x_KTBI, start, parameters, gates_KTBG, c_KTBH, squashed_KTBH
        )


@dataclass(frozen=True)
class _LstmPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    x_KTBI: Tensor
    initial: tuple[Tensor, Tensor]
    parameters: LayerParameters
    gates_KTBG: Tensor
    c_KTBH: Tensor
    squashed_KTBH: Tensor  # tanh(c_t)

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,
    ) -> LayerBackward:
        time_steps = self.h_KTBH.shape[1]
        saturation_K = self._saturation() if measure else None
        grad_h_final, grad_c_final = grad_final or (None, None)
        grad_h_KTBH = gradient_by_states(grad_h_KSBH, time_steps, grad_h_final)
        grad_c_KTBH = torch.zeros_like(grad_h_KTBH)
        if grad_c_final is not None:
            grad_c_KTBH[:, -1] = grad_c_final
        keep_KTBH = self._to_factors()
        factors_KTB4H = self.gates_KTBG.view(*grad_h_KTBH.shape[:3], 4, -1)
        deltas, to_c = self.gates_KTBG.unbind(1), self.squashed_KTBH.unbind(1)
        by_c, by_h = factors_KTB4H[..., :3, :].unbind(1), factors_KTB4H[..., 3, :].unbind(1)
        keeps, grads_h, grads_c = keep_KTBH.unbind(1), grad_h_KTBH.unbind(1), grad_c_KTBH.unbind(1)
        total_c, before_h = torch.empty_like(grads_c[0]), torch.zeros_like(grads_c[0])
        before_c = torch.empty_like(total_c)
        for step in reversed(range(time_steps)):
            torch.addcmul(grads_c[step], grads_h[step], to_c[step], out=total_c)
            by_c[step].mul_(total_c.unsqueeze(2))
            by_h[step].mul_(grads_h[step])
            torch.mul(total_c, keeps[step], out=grads_c[step - 1] if step else before_c)
            into = grads_h[step - 1] if step else before_h
            into.baddbmm_(deltas[step], self.parameters["weight_hh"])
        hidden_gradients(self.initial[0], self.h_KTBH, self.gates_KTBG, gradients)
        grad_x_KTBI = input_gradients(
            self.x_KTBI, self.gates_KTBG, self.parameters, gradients, needs_grad_x=needs_grad_x
        )
        grads = [grad_h_KTBH, grad_c_KTBH]
        flow = None if saturation_K is None else self._flow(grads, saturation_K)
        return LayerBackward(grad_x_KTBI, (before_h, before_c), flow)

    def _saturation(self) -> Tensor:
        i, f, _, o = self.gates_KTBG.chunk(4, dim=3)
        shares = [gate_saturation(gate) for gate in (i, f, o)]
        return torch.stack(shares).mean(dim=0)

    def _flow(self, grad_states: list[Tensor], saturation_K: Tensor) -> LayerFlow:
        return LayerFlow(
            grad_norm_KT=state_gradient_norm(grad_states),
            weight_term_norm_KT=weight_term_norm(self.h_KTBH, self.gates_KTBG, self.initial[0]),
            saturation_K=saturation_K,
            silent_KH=None,
        )

    def _to_factors(self) -> Tensor:
        """Turn what was kept into what the gradients are to be multiplied by; returns f.

        By the whole gradient of c_t: i: g * i * (1-i);  f: c_{t-1} * f * (1-f);  g: i * (1-g^2).
        By that of h_t: o: tanh(c) * o * (1-o), and, to get to c_t, o * (1 - tanh(c)^2), which
        replaces tanh(c). The others replace the gates.
        """
        i, f, g, o = self.gates_KTBG.chunk(4, dim=3)
        keep_KTBH = f.clone()
        f.mul_(1 - keep_KTBH)
        f[:, 1:].mul_(self.c_KTBH[:, :-1])
        f[:, 0].mul_(self.initial[1])
        i_slope_KTBH = (1 - i).mul_(i).mul_(g)
        g.mul_(g).neg_().add_(1).mul_(i)
        i.copy_(i_slope_KTBH)
        h_slope_KTBH = (1 - o).mul_(self.h_KTBH)
        torch.addcmul(o, self.squashed_KTBH, self.h_KTBH, value=-1, out=self.squashed_KTBH)
        o.copy_(h_slope_KTBH)
        return keep_KTBH
