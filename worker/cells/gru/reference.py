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

from worker.cells.cell import LayerBackward, LayerPass
from worker.cells.products import (
    gate_saturation,
    hidden_gradients,
    input_gradients,
    project_input,
)
from worker.training.parameters import LayerParameters


class GruReference:
    """A GRU layer."""

    def forward(self, x_KTBI: Tensor, parameters: LayerParameters) -> LayerPass:
        """Run over all time steps, from h_0 = 0."""
        gates_KTBG = project_input(x_KTBI, parameters.weight_ih, parameters.bias_ih)
        hidden_KTBG = torch.empty_like(gates_KTBG)
        size = parameters.weight_hh.shape[2]
        h_KTBH = gates_KTBG.new_empty(*gates_KTBG.shape[:3], size)
        weight_KHG, bias_K1G = parameters.weight_hh.transpose(1, 2), parameters.bias_hh[:, None]
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
        previous_KBH = torch.zeros_like(h_KTBH[:, 0])
        for h_KBH, hidden, rz, hidden_rz, reset, update, new, m in steps:
            torch.baddbmm(bias_K1G, previous_KBH, weight_KHG, out=hidden)
            rz.add_(hidden_rz).sigmoid_()
            new.addcmul_(reset, m).tanh_()
            torch.lerp(new, previous_KBH, update, out=h_KBH)
            previous_KBH = h_KBH
        return _GruPass(x_KTBI, h_KTBH, parameters, gates_KTBG, hidden_KTBG)


@dataclass(frozen=True)
class _GruPass(LayerPass):
    x_KTBI: Tensor
    h_KTBH: Tensor
    parameters: LayerParameters
    gates_KTBG: Tensor
    hidden_KTBG: Tensor

    def saturation(self) -> Tensor:
        return gate_saturation(self.gates_KTBG[..., : 2 * self.h_KTBH.shape[3]])

    def backward(
        self, grad_h_KTBH: Tensor, gradients: LayerParameters, *, needs_grad_x: bool
    ) -> LayerBackward:
        keep_KTBH = self._to_factors()
        factors_KTB3H = self.hidden_KTBG.view(*grad_h_KTBH.shape[:3], 3, -1)
        deltas, factors = self.hidden_KTBG.unbind(1), factors_KTB3H.unbind(1)
        grads, keeps = grad_h_KTBH.unbind(1), keep_KTBH.unbind(1)
        for step in reversed(range(1, len(deltas))):
            factors[step].mul_(grads[step].unsqueeze(2))
            grads[step - 1].addcmul_(grads[step], keeps[step])
            grads[step - 1].baddbmm_(deltas[step], self.parameters.weight_hh)
        factors[0].mul_(grads[0].unsqueeze(2))
        hidden_gradients(self.h_KTBH, self.hidden_KTBG, gradients)
        delta_input_KTBG = self._input_deltas(grad_h_KTBH)
        grad_x_KTBI = input_gradients(
            self.x_KTBI, delta_input_KTBG, self.parameters, gradients, needs_grad_x=needs_grad_x
        )
        return LayerBackward(grad_x_KTBI, (grad_h_KTBH,), self.hidden_KTBG)

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
