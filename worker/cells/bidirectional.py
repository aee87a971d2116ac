"""A layer of two cells, one of which reads the sequence from its end.

    forward: h_t from h_{t-1} and x_t;  reverse: h'_t from h'_{t+1} and x_t;  output [h_t ; h'_t]

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units of each direction; D = 2H.

Equal to torch's bidirectional layers, whose names of the other direction's parameters end in
`_reverse`.

Source:
    Schuster & Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal
    Processing 1997.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass, RecurrentCell, State
from worker.training.parameters import LayerParameters, directions


@dataclass(frozen=True)
class Bidirectional:
    """Two cells of one kind, each with parameters of its own.

    Its states at one time step depend on all inputs, so that the sequence cannot be cut.
    """

    cell: RecurrentCell
    reads_ends: bool
    """Whether one answer is due for a sequence: then each direction is read out after its own last
    step, when it has seen all inputs. At time T the reverse one has seen nothing but x_T."""

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run both directions over all time steps; the reverse one's initial state is after T."""
        ahead, back = directions(parameters)
        ahead_initial, back_initial = _halves(initial)
        forward = self.cell.forward(x_KTBI, ahead, ahead_initial)
        reverse = self.cell.forward(x_KTBI.flip(1), back, back_initial)
        return _BidirectionalPass(
            h_KTBH=torch.cat([forward.h_KTBH, reverse.h_KTBH.flip(1)], dim=3),
            final_state=(*forward.final_state, *reverse.final_state),
            forward=forward,
            reverse=reverse,
            reads_ends=self.reads_ends,
        )


@dataclass(frozen=True)
class _BidirectionalPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    forward: LayerPass
    reverse: LayerPass
    reads_ends: bool

    def answers(self, count: int) -> Tensor:
        """The last `count` outputs, or each direction's own last one: (K, S, B, D)."""
        if self._reads_ends(count):
            return torch.cat([self.forward.answers(1), self.reverse.answers(1)], dim=3)
        return super().answers(count)

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,
    ) -> LayerBackward:
        by_forward_KSBH, by_reverse_KSBH = grad_h_KSBH.chunk(2, dim=3)
        if not self._reads_ends(grad_h_KSBH.shape[1]):
            by_reverse_KSBH = self._in_reverse(by_reverse_KSBH)
        parts = zip(
            (self.forward, self.reverse),
            (by_forward_KSBH, by_reverse_KSBH),
            directions(gradients),
            _halves(grad_final),
            strict=True,
        )
        forward, reverse = (
            one.backward(by_h, into, grad_final=end, needs_grad_x=needs_grad_x, measure=measure)
            for one, by_h, into, end in parts
        )
        grad_x_KTBI = forward.grad_x_KTBI
        if grad_x_KTBI is not None and reverse.grad_x_KTBI is not None:
            grad_x_KTBI = grad_x_KTBI + reverse.grad_x_KTBI.flip(1)
        grad_initial = (*forward.grad_initial, *reverse.grad_initial)
        return LayerBackward(grad_x_KTBI, grad_initial, forward.flow, reverse.flow)

    def _reads_ends(self, count: int) -> bool:
        return self.reads_ends and count == 1

    def _in_reverse(self, grad_h_KSBH: Tensor) -> Tensor:
        """The gradient by all states in the reverse order of time, where the last S come first."""
        jobs, answered, sequences, size = grad_h_KSBH.shape
        gradient_KTBH = grad_h_KSBH.new_zeros(jobs, self.h_KTBH.shape[1], sequences, size)
        gradient_KTBH[:, :answered] = grad_h_KSBH.flip(1)
        return gradient_KTBH


def _halves(state: State | None) -> tuple[State | None, State | None]:
    """The two directions' parts of a state."""
    if state is None:
        return None, None
    middle = len(state) // 2
    return state[:middle], state[middle:]
