"""A cell that also sees the state of some steps before.

    a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh + W_lag h_{t-lag}

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units, G gates times H, N = lag + T steps.

Within a chunk of `lag` steps every h_{t-lag} is known before the chunk begins. So a chunk is an
ordinary run of the cell over the inputs [x_t; h_{t-lag}] with the weights [W_ih, W_lag].

Source:
    Lin, Horne, Tino & Giles, "Learning long-term dependencies in NARX recurrent neural networks",
    IEEE Transactions on Neural Networks 1996; Zhang et al., "Architectural complexity measures of
    recurrent neural networks", NIPS 2016.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass, RecurrentCell, State
from worker.cells.flow import LayerFlow, join_in_time
from worker.training.parameters import LayerParameters


@dataclass(frozen=True)
class ResidualCell:
    """Any cell with a `weight_lag`; it hands on the cell's state and h of the last `lag` steps.

    Args:
        cell: without the connection.
        lag: time steps it passes by, at least 1.
    """

    cell: RecurrentCell
    lag: int

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        jobs, time_steps, sequences, _ = x_KTBI.shape
        widened = _widened(parameters)
        size = parameters["weight_lag"].shape[2]
        h_KNBH = x_KTBI.new_empty(jobs, self.lag + time_steps, sequences, size)
        h_KNBH[:, : self.lag] = initial[-1] if initial else 0
        chunks: list[LayerPass] = []
        state = initial[:-1] if initial else None
        for first in range(0, time_steps, self.lag):
            x_KCBI = x_KTBI[:, first : first + self.lag]
            length = x_KCBI.shape[1]
            wide_KCBI = torch.cat([x_KCBI, h_KNBH[:, first : first + length]], dim=3)
            chunks.append(self.cell.forward(wide_KCBI, widened, state))
            state = chunks[-1].final_state
            h_KNBH[:, self.lag + first : self.lag + first + length] = chunks[-1].h_KTBH
        final = (*(state or ()), h_KNBH[:, time_steps:])
        return _ResidualPass(h_KNBH[:, self.lag :], final, tuple(chunks), widened, self.lag)


@dataclass(frozen=True)
class _ResidualPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    chunks: tuple[LayerPass, ...]
    widened: LayerParameters
    lag: int

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,
    ) -> LayerBackward:
        grad_h_KNBH = self._grad_from_outside(grad_h_KSBH, grad_final)
        total = {name: torch.zeros_like(tensor) for name, tensor in self.widened.items()}
        scratch = {name: torch.empty_like(tensor) for name, tensor in self.widened.items()}
        later = grad_final[:-1] if grad_final else None
        grads_x: list[Tensor] = []
        flows: list[LayerFlow] = []
        end = self.h_KTBH.shape[1]
        for chunk in reversed(self.chunks):
            first = end - chunk.h_KTBH.shape[1]
            back = chunk.backward(
                grad_h_KNBH[:, self.lag + first : self.lag + end],
                scratch,
                grad_final=later,
                needs_grad_x=True,
                measure=measure,
            )
            grads_x.append(self._split(back, grad_h_KNBH[:, first:end]))
            for name, gradient in scratch.items():
                total[name].add_(gradient)
            if back.flow is not None:
                flows.append(back.flow)
            later, end = back.grad_initial, first
        _narrow(total, gradients)
        return LayerBackward(
            torch.cat(grads_x[::-1], dim=1) if needs_grad_x else None,
            (*(later or ()), grad_h_KNBH[:, : self.lag]),
            join_in_time(flows[::-1]) if flows else None,
        )

    def _grad_from_outside(self, grad_h_KSBH: Tensor, grad_final: State | None) -> Tensor:
        """By h of the `lag` steps before the first and of all steps, (K, N, B, H)."""
        jobs, answered, sequences, size = grad_h_KSBH.shape
        steps = self.lag + self.h_KTBH.shape[1]
        grad_h_KNBH = grad_h_KSBH.new_zeros(jobs, steps, sequences, size)
        grad_h_KNBH[:, steps - answered :] = grad_h_KSBH
        if grad_final is not None:
            grad_h_KNBH[:, steps - self.lag :] += grad_final[-1]
        return grad_h_KNBH

    def _split(self, back: LayerBackward, grad_lagged_KCBH: Tensor) -> Tensor:
        """Add the gradient by h_{t-lag} to the others by it; returns that by x_t."""
        if back.grad_x_KTBI is None:
            raise RuntimeError("a cell gave no gradient of its input although it was asked for")
        grad_wide_KCBI = back.grad_x_KTBI
        size = grad_lagged_KCBH.shape[3]
        grad_lagged_KCBH += grad_wide_KCBI[..., -size:]
        return grad_wide_KCBI[..., :-size]


def _widened(parameters: LayerParameters) -> LayerParameters:
    """The parameters of a cell that reads [x_t; h_{t-lag}]."""
    weights = [parameters["weight_ih"], parameters["weight_lag"]]
    rest = {name: tensor for name, tensor in parameters.items() if name != "weight_lag"}
    return rest | {"weight_ih": torch.cat(weights, dim=2)}


def _narrow(widened: LayerParameters, parameters: LayerParameters) -> None:
    """The opposite of `_widened`, into `parameters`."""
    inputs = parameters["weight_ih"].shape[2]
    for name, tensor in parameters.items():
        if name == "weight_ih":
            tensor.copy_(widened["weight_ih"][..., :inputs])
        elif name == "weight_lag":
            tensor.copy_(widened["weight_ih"][..., inputs:])
        else:
            tensor.copy_(widened[name])
