"""The Elman network in tensor operations, equal to `torch.nn.RNN` in values and gradients.

    a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh,  h_t = phi(a_t)
    dL/da_t = dL/dh_t * phi'(a_t),  dL/dh_{t-1} += W_hh^T dL/da_t

What phi learns itself has its gradient from h_t and dL/da_t, see `worker.remedies.activations`.

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units.

Source:
    Elman, "Finding structure in time", Cognitive Science 1990.
"""

from dataclasses import dataclass

from torch import Tensor

from worker.cells.cell import State
from worker.cells.products import hidden_gradients, input_gradients, project_input
from worker.cells.recurrence import Recurrence, Trajectory
from worker.cells.unrolled import UnrolledCell
from worker.remedies.activations import Nonlinearity
from worker.training.parameters import LayerParameters


@dataclass(frozen=True)
class RnnReference(UnrolledCell):
    """An RNN layer with any nonlinearity."""

    nonlinearity: Nonlinearity

    def begin(self, x_KTBI: Tensor, parameters: LayerParameters) -> Recurrence:
        """The equations for these inputs."""
        return _RnnRecurrence(x_KTBI, parameters, self.nonlinearity)


class _RnnRecurrence(Recurrence):
    def __init__(
        self, x_KTBI: Tensor, parameters: LayerParameters, nonlinearity: Nonlinearity
    ) -> None:
        self._x_KTBI = x_KTBI
        self._parameters = parameters
        self._nonlinearity = nonlinearity.of_layer(parameters)
        self._weight_KHH = parameters["weight_hh"]
        self._weight_transposed_KHH = self._weight_KHH.transpose(1, 2)
        bias_KH = parameters["bias_ih"] + parameters["bias_hh"]
        # W_ih x_t + b until a step turns it into its state.
        self._h_KTBH = project_input(x_KTBI, parameters["weight_ih"], bias_KH)
        self._h_steps = self._h_KTBH.unbind(1)
        self.proposed = (self._h_KTBH,)

    def step(self, step: int, before: State) -> None:
        h_KBH = self._h_steps[step]
        h_KBH.baddbmm_(before[0], self._weight_transposed_KHH)
        self._nonlinearity.apply_(h_KBH)

    def saturation(self) -> Tensor:
        return self._nonlinearity.saturation(self._h_KTBH)

    def silent(self) -> Tensor | None:
        return self._nonlinearity.silent(self._h_KTBH)

    def start_backward(self, trajectory: Trajectory) -> None:  # noqa: ARG002 - h_t is enough
        self.delta_hidden_KTBG = self._nonlinearity.derivative(self._h_KTBH)
        self._deltas = self.delta_hidden_KTBG.unbind(1)

    def step_back(self, step: int, grad: State, grad_before: State) -> None:
        delta_KBH = self._deltas[step].mul_(grad[0])
        grad_before[0].baddbmm_(delta_KBH, self._weight_KHH)

    def finish_backward(
        self,
        trajectory: Trajectory,
        grads: State,  # noqa: ARG002 - the deltas are enough
        gradients: LayerParameters,
        *,
        needs_grad_x: bool,
    ) -> Tensor | None:
        delta_KTBH = self.delta_hidden_KTBG
        learned = self._nonlinearity.learned_gradients(self._h_KTBH, delta_KTBH)
        for name, gradient in learned.items():
            gradients[name].copy_(gradient)
        hidden_gradients(trajectory.initial[0], trajectory.states[0], delta_KTBH, gradients)
        return input_gradients(
            self._x_KTBI, delta_KTBH, self._parameters, gradients, needs_grad_x=needs_grad_x
        )
