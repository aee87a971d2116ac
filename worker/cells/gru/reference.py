"""The gated recurrent unit in tensor operations, equal to `torch.nn.GRU` in values and gradients.

    r, z = sigmoid(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)
    n = tanh(W_in x_t + b_in + r * m),  m = W_hn h_{t-1} + b_hn
    h_t = (1-z) * n + z * h_{t-1},  h_0 = 0

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units, G = 3H in the order
r, z, n. The reset gate comes after the product, as in torch and cuDNN.

Source:
    Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014.
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


class GruReference:
    """A GRU layer."""

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        gates_KTBG = project_input(x_KTBI, parameters["weight_ih"], parameters["bias_ih"])
        hidden_KTBG = torch.empty_like(gates_KTBG)
        size = parameters["weight_hh"].shape[2]
        h_KTBH = gates_KTBG.new_empty(*gates_KTBG.shape[:3], size)
        weight_KHG = parameters["weight_hh"].transpose(1, 2)
        bias_K1G = parameters["bias_hh"][:, None]
        rz_KTBN = gates_KTBG[..., : 2 * size]
        steps = zip(
            h_KTBH.unbind(1),
            hidden_KTBG.unbind(1),
            rz_KTBN.unbind(1),
            hidden_KTBG[..., : 2 * size].unbind(1),
            rz_KTBN[..., :size].unbind(1),
            rz_KTBN[..., size:].unbind(1),
            gates_KTBG[..., 2 * size :].unbind(1),
            hidden_KTBG[..., 2 * size :].unbind(1),
            strict=True,
        )
        initial_KBH = initial[0] if initial else torch.zeros_like(h_KTBH[:, 0])
        previous_KBH = initial_KBH
        for h_KBH, hidden, rz, hidden_rz, reset, update, new, m in steps:
            torch.baddbmm(bias_K1G, previous_KBH, weight_KHG, out=hidden)
            rz.add_(hidden_rz).sigmoid_()
            new.addcmul_(reset, m).tanh_()
            torch.lerp(new, previous_KBH, update, out=h_KBH)
            previous_KBH = h_KBH
        final = (h_KTBH[:, -1],)
        return _GruPass(h_KTBH, final, x_KTBI, initial_KBH, parameters, gates_KTBG, hidden_KTBG)


@dataclass(frozen=True)
class _GruPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    x_KTBI: Tensor
    initial_KBH: Tensor
    parameters: LayerParameters
    gates_KTBG: Tensor
    hidden_KTBG: Tensor

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,
    ) -> LayerBackward:
        time_steps, size = self.h_KTBH.shape[1], self.h_KTBH.shape[3]
        saturation_K = gate_saturation(self.gates_KTBG[..., : 2 * size]) if measure else None
        grad_final_KBH = grad_final[0] if grad_final else None
        grad_h_KTBH = gradient_by_states(grad_h_KSBH, time_steps, grad_final_KBH)
        keep_KTBH = self._to_factors()
        factors_KTB3H = self.hidden_KTBG.view(*grad_h_KTBH.shape[:3], 3, -1)
        deltas, factors = self.hidden_KTBG.unbind(1), factors_KTB3H.unbind(1)
        grads, keeps = grad_h_KTBH.unbind(1), keep_KTBH.unbind(1)
        grad_initial_KBH = torch.empty_like(grads[0])
        for step in reversed(range(time_steps)):
            factors[step].mul_(grads[step].unsqueeze(2))
            before = grads[step - 1] if step else grad_initial_KBH.zero_()
            before.addcmul_(grads[step], keeps[step])
            before.baddbmm_(deltas[step], self.parameters["weight_hh"])
        hidden_gradients(self.initial_KBH, self.h_KTBH, self.hidden_KTBG, gradients)
        delta_input_KTBG = self._input_deltas(grad_h_KTBH)
        grad_x_KTBI = input_gradients(
            self.x_KTBI, delta_input_KTBG, self.parameters, gradients, needs_grad_x=needs_grad_x
        )
        flow = None if saturation_K is None else self._flow(grad_h_KTBH, saturation_K)
        return LayerBackward(grad_x_KTBI, (grad_initial_KBH,), flow)

    def _flow(self, grad_h_KTBH: Tensor, saturation_K: Tensor) -> LayerFlow:
        return LayerFlow(
            grad_norm_KT=state_gradient_norm([grad_h_KTBH]),
            weight_term_norm_KT=weight_term_norm(self.h_KTBH, self.hidden_KTBG, self.initial_KBH),
            saturation_K=saturation_K,
            silent_KH=None,
        )

    def _to_factors(self) -> Tensor:
        """Turn what was kept into what dL/dh_t is to be multiplied by; returns z.

        With s = (1-z) * (1-n^2), dL/dh_t times these is the gradient by W_hh h_{t-1} + b_hh:
        r: s * m * r * (1-r);  z: (h_{t-1} - n) * z * (1-z);  n: s * r.
        They replace `hidden`; s replaces the gate n, for the gradient by the input.
        """
        reset, update, new = self.gates_KTBG.chunk(3, dim=3)
        to_reset, to_update, to_new = self.hidden_KTBG.chunk(3, dim=3)
        keep_KTBH = update.clone()
        opposite_KTBH = 1 - keep_KTBH
        torch.neg(new, out=to_update)
        to_update[:, 0].add_(self.initial_KBH)
        to_update[:, 1:].add_(self.h_KTBH[:, :-1])
        to_update.mul_(keep_KTBH).mul_(opposite_KTBH)
        new.mul_(new).neg_().add_(1).mul_(opposite_KTBH)
        to_new.mul_(new).mul_(reset)
        torch.mul(to_new, 1 - reset, out=to_reset)
        torch.mul(new, reset, out=to_new)
        return keep_KTBH

    def _input_deltas(self, grad_h_KTBH: Tensor) -> Tensor:
        """Gradient by W_ih x_t + b_ih: that by the hidden side, but n without the factor r."""
        size = self.h_KTBH.shape[3]
        self.gates_KTBG[..., : 2 * size].copy_(self.hidden_KTBG[..., : 2 * size])
        self.gates_KTBG[..., 2 * size :].mul_(grad_h_KTBH)
        return self.gates_KTBG
