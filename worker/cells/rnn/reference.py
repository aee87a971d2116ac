"""The Elman network in tensor operations, equal to `torch.nn.RNN` in values and gradients.

    a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh,  h_t = phi(a_t)
    dL/da_t = dL/dh_t * phi'(a_t),  dL/dh_{t-1} += W_hh^T dL/da_t

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units.

Source:
    Elman, "Finding structure in time", Cognitive Science 1990.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass, State
from worker.cells.flow import LayerFlow, state_gradient_norm, weight_term_norm
from worker.cells.products import (
    gradient_by_states,
    hidden_gradients,
    input_gradients,
    project_input,
)
from worker.remedies.activations import Nonlinearity
from worker.training.parameters import LayerParameters


@dataclass(frozen=True)
class RnnReference:
    """An RNN layer with any nonlinearity."""

    nonlinearity: Nonlinearity

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        bias_KH = parameters["bias_ih"] + parameters["bias_hh"]
        h_KTBH = project_input(x_KTBI, parameters["weight_ih"], bias_KH)
        weight_KHH = parameters["weight_hh"].transpose(1, 2)
        initial_KBH = initial[0] if initial else torch.zeros_like(h_KTBH[:, 0])
        previous_KBH = initial_KBH
        for state_KBH in h_KTBH.unbind(1):
            state_KBH.baddbmm_(previous_KBH, weight_KHH)
            self.nonlinearity.apply_(state_KBH)
            previous_KBH = state_KBH
        final = (h_KTBH[:, -1],)
        return _RnnPass(h_KTBH, final, x_KTBI, initial_KBH, parameters, self.nonlinearity)


@dataclass(frozen=True)
class _RnnPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    x_KTBI: Tensor
    initial_KBH: Tensor
    parameters: LayerParameters
    nonlinearity: Nonlinearity

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
        grad_final_KBH = grad_final[0] if grad_final else None
        grad_h_KTBH = gradient_by_states(grad_h_KSBH, time_steps, grad_final_KBH)
        delta_KTBH = self.nonlinearity.derivative(self.h_KTBH)
        deltas, grads = delta_KTBH.unbind(1), grad_h_KTBH.unbind(1)
        for step in reversed(range(1, time_steps)):
            deltas[step].mul_(grads[step])
            grads[step - 1].baddbmm_(deltas[step], self.parameters["weight_hh"])
        deltas[0].mul_(grads[0])
        hidden_gradients(self.initial_KBH, self.h_KTBH, delta_KTBH, gradients)
        return LayerBackward(
            grad_x_KTBI=input_gradients(
                self.x_KTBI, delta_KTBH, self.parameters, gradients, needs_grad_x=needs_grad_x
            ),
            grad_initial=(torch.bmm(deltas[0], self.parameters["weight_hh"]),),
            flow=self._flow(grad_h_KTBH, delta_KTBH) if measure else None,
        )

    def _flow(self, grad_h_KTBH: Tensor, delta_KTBH: Tensor) -> LayerFlow:
        return LayerFlow(
            grad_norm_KT=state_gradient_norm([grad_h_KTBH]),
            weight_term_norm_KT=weight_term_norm(self.h_KTBH, delta_KTBH, self.initial_KBH),
            saturation_K=self.nonlinearity.saturation(self.h_KTBH),
            silent_KH=self.nonlinearity.silent(self.h_KTBH),
        )
