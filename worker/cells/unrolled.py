"""A cell unrolled over time, every step updating the state.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass, State
from worker.cells.flow import LayerFlow, state_gradient_norm, weight_term_norm
from worker.cells.products import gradient_by_states
from worker.cells.recurrence import Recurrence, Trajectory, by_step, zero_state
from worker.training.parameters import LayerParameters


class UnrolledCell(ABC):
    """A cell that gives its equations step by step."""

    @abstractmethod
    def begin(self, x_KTBI: Tensor, parameters: LayerParameters) -> Recurrence:
        """The equations for these inputs, no step done yet."""

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        recurrence = self.begin(x_KTBI, parameters)
        start = initial or zero_state(recurrence.proposed)
        before = start
        for step, state in enumerate(by_step(recurrence.proposed)):
            recurrence.step(step, before)
            before = state
        trajectory = Trajectory(start, recurrence.proposed)
        return _UnrolledPass(trajectory.states[0], before, recurrence, trajectory)


@dataclass(frozen=True)
class _UnrolledPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    recurrence: Recurrence
    trajectory: Trajectory

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,
    ) -> LayerBackward:
        saturation_K = self.recurrence.saturation() if measure else None
        grads = gradients_by_states(grad_h_KSBH, self.trajectory.states, grad_final)
        grad_initial = zero_state(grads)
        self.recurrence.start_backward(self.trajectory)
        grad_steps = [grad_initial, *by_step(grads)]
        for step in reversed(range(len(grad_steps) - 1)):
            self.recurrence.step_back(step, grad_steps[step + 1], grad_steps[step])
        grad_x_KTBI = self.recurrence.finish_backward(
            self.trajectory, grads, gradients, needs_grad_x=needs_grad_x
        )
        flow = None
        if saturation_K is not None:
            flow = recurrence_flow(self.recurrence, self.trajectory, grads, saturation_K)
        return LayerBackward(grad_x_KTBI, grad_initial, flow)


def gradients_by_states(grad_h_KSBH: Tensor, states: State, grad_final: State | None) -> State:
    """The gradient from outside by every part of every state, to be completed step by step."""
    time_steps = states[0].shape[1]
    nothing_KSBH = grad_h_KSBH[:, :0]
    from_outside = [grad_h_KSBH, *(nothing_KSBH for _ in states[1:])]
    return tuple(
        gradient_by_states(outside_KSBH, time_steps, grad_final[part] if grad_final else None)
        for part, outside_KSBH in enumerate(from_outside)
    )


def recurrence_flow(
    recurrence: Recurrence, trajectory: Trajectory, grads: State, saturation_K: Tensor
) -> LayerFlow:
    """What a finished backward pass shows; `grads` are by the states, each (K, T, B, H)."""
    return LayerFlow(
        grad_norm_KT=state_gradient_norm(grads),
        weight_term_norm_KT=weight_term_norm(
            trajectory.states[0], recurrence.delta_hidden_KTBG, trajectory.initial[0]
        ),
        saturation_K=saturation_K,
        silent_KH=recurrence.silent(),
    )
