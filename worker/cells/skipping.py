"""A cell that learns at which time steps to update its state and when to copy it: a Skip RNN.

    s_t = u_t S(s_{t-1}, x_t) + (1-u_t) s_{t-1}

u_t is the gate's, see `update_gate.py`; of an LSTM it reads c_t, as in the authors' code. What is
minimised has `cost` times the mean over the batch of sum_t u_t added to the loss; so has what the
gradients, and the flow, are of.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units.

Source:
    Campos et al., "Skip RNN: learning to skip state updates in recurrent neural networks", ICLR
    2018; imatge-upc/skiprnn-2017-telecombcn.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass, State
from worker.cells.recurrence import Recurrence, Trajectory, by_step, zero_state
from worker.cells.unrolled import UnrolledCell, gradients_by_states, recurrence_flow
from worker.cells.update_gate import UpdateGate
from worker.training.parameters import LayerParameters


@dataclass(frozen=True)
class SkippingCell:
    """Any step-by-step cell behind a gate; it hands on the cell's state and p, (K, B, 1).

    Args:
        cell: gives the equations.
        cost_K11: added to what is minimised for each update in a sequence.
    """

    cell: UnrolledCell
    cost_K11: Tensor

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        recurrence = self.cell.begin(x_KTBI, parameters)
        start = initial[:-1] if initial else zero_state(recurrence.proposed)
        chance_KB1 = initial[-1] if initial else torch.ones_like(start[0][..., :1])
        gate = UpdateGate(parameters, chance_KB1)
        states = tuple(torch.empty_like(part_KTBH) for part_KTBH in recurrence.proposed)
        before = start
        steps = zip(by_step(states), by_step(recurrence.proposed), strict=True)
        for step, (state, proposed) in enumerate(steps):
            recurrence.step(step, before)
            updates_KB1 = gate.updates(step)
            for part, new, old in zip(state, proposed, before, strict=True):
                torch.where(updates_KB1, new, old, out=part)
            gate.advance(state[-1])
            before = state
        trajectory = Trajectory(start, states)
        final = (*before, gate.next_chance)
        return _SkippingPass(states[0], final, recurrence, gate, trajectory, self.cost_K11)


@dataclass(frozen=True)
class _SkippingPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    recurrence: Recurrence
    gate: UpdateGate
    trajectory: Trajectory
    cost_K11: Tensor

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
        states = self.trajectory.states
        grads = gradients_by_states(grad_h_KSBH, states, grad_final)
        grads_proposed = tuple(torch.empty_like(part_KTBH) for part_KTBH in grads)
        grad_chance_KB1 = grad_final[-1] if grad_final else torch.zeros_like(self.gate.next_chance)
        grad_initial, grad_chance_KB1 = self._back_over_time(grads, grads_proposed, grad_chance_KB1)
        grad_x_KTBI = self.recurrence.finish_backward(
            self.trajectory, grads_proposed, gradients, needs_grad_x=needs_grad_x
        )
        self.gate.finish_backward(states[-1], gradients)
        flow = None
        if saturation_K is not None:
            flow = replace(
                recurrence_flow(self.recurrence, self.trajectory, grads, saturation_K),
                update_fraction_K=self.gate.update_fraction(),
            )
        return LayerBackward(grad_x_KTBI, (*grad_initial, grad_chance_KB1), flow)

    def _back_over_time(
        self, grads: State, grads_proposed: State, grad_chance_KB1: Tensor
    ) -> tuple[State, Tensor]:
        """Complete the gradients by every state; returns those by what was before the first."""
        self.recurrence.start_backward(self.trajectory)
        cost_K11 = self.cost_K11 / grad_chance_KB1.shape[1]
        grad_steps = [zero_state(grads), *by_step(grads)]
        for step, proposed in reversed(list(enumerate(by_step(grads_proposed)))):
            grad, grad_before = grad_steps[step + 1], grad_steps[step]
            grad_update_KB1, grad_kept_KB1 = self.gate.step_back(step, grad_chance_KB1, grad[-1])
            grad_update_KB1 += cost_K11 + self._gain(step, grad)
            grad_chance_KB1 = grad_kept_KB1 + grad_update_KB1
            updates_KB1 = self.gate.updates(step)
            for part, whole, before in zip(proposed, grad, grad_before, strict=True):
                torch.mul(whole, updates_KB1, out=part)
                before.add_(whole * ~updates_KB1)
            self.recurrence.step_back(step, proposed, grad_before)
        return grad_steps[0], grad_chance_KB1

    def _gain(self, step: int, grad: State) -> Tensor:
        """The gradient by u_t that comes through s_t, (K, B, 1)."""
        earlier = self.trajectory.initial
        if step:
            earlier = tuple(part_KTBH[:, step - 1] for part_KTBH in self.trajectory.states)
        new = (part_KTBH[:, step] for part_KTBH in self.recurrence.proposed)
        gains = [
            ((new_KBH - old_KBH) * grad_KBH).sum(dim=2, keepdim=True)
            for new_KBH, old_KBH, grad_KBH in zip(new, earlier, grad, strict=True)
        ]
        return torch.stack(gains).sum(dim=0)
