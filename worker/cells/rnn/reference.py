"""The Elman network in tensor operations, equal to `torch.nn.RNN` in values and gradients.

    a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh,  h_t = phi(a_t),  h_0 = 0
    dL/da_t = dL/dh_t * phi'(a_t),  dL/dh_{t-1} += W_hh^T dL/da_t

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units.

Source:
    Elman, "Finding structure in time", Cognitive Science 1990.
"""

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass
from worker.cells.products import hidden_gradients, input_gradients, project_input
from worker.remedies.activations import Nonlinearity
from worker.training.parameters import LayerParameters


@dataclass(frozen=True)
class RnnReference:
    """An RNN layer with any nonlinearity."""

    nonlinearity: Nonlinearity

    def forward(self, x_KTBI: Tensor, parameters: LayerParameters) -> LayerPass:
        """Run over all time steps, from h_0 = 0."""
        bias_KH = parameters.bias_ih + parameters.bias_hh
        h_KTBH = project_input(x_KTBI, parameters.weight_ih, bias_KH)
        weight_KHH = parameters.weight_hh.transpose(1, 2)
        states = h_KTBH.unbind(1)
        self.nonlinearity.apply_(states[0])
        for previous_KBH, state_KBH in pairwise(states):
            state_KBH.baddbmm_(previous_KBH, weight_KHH)
            self.nonlinearity.apply_(state_KBH)
        return _RnnPass(x_KTBI, h_KTBH, parameters, self.nonlinearity)


@dataclass(frozen=True)
class _RnnPass(LayerPass):
    x_KTBI: Tensor
    h_KTBH: Tensor
    parameters: LayerParameters
    nonlinearity: Nonlinearity

    def saturation(self) -> Tensor:
        return self.nonlinearity.saturation(self.h_KTBH)

    def dead_fraction(self) -> Tensor | None:
        return self.nonlinearity.dead_fraction(self.h_KTBH)

    def backward(
        self, grad_h_KTBH: Tensor, gradients: LayerParameters, *, needs_grad_x: bool
    ) -> LayerBackward:
        delta_KTBH = self.nonlinearity.derivative(self.h_KTBH)
        deltas, grads = delta_KTBH.unbind(1), grad_h_KTBH.unbind(1)
        for step in reversed(range(1, len(deltas))):
            deltas[step].mul_(grads[step])
            grads[step - 1].baddbmm_(deltas[step], self.parameters.weight_hh)
        deltas[0].mul_(grads[0])
        hidden_gradients(self.h_KTBH, delta_KTBH, gradients)
        grad_x_KTBI = input_gradients(
            self.x_KTBI, delta_KTBH, self.parameters, gradients, needs_grad_x=needs_grad_x
        )
        return LayerBackward(grad_x_KTBI, (grad_h_KTBH,), delta_KTBH)
