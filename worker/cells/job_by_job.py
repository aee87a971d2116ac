"""A cell whose jobs are computed one after the other, so that each has its own arithmetic.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units.

Cells in tensor operations take all jobs of a pack at once. On a CPU those round by the size of the
whole tensor: batched products do, and so do functions such as the sigmoid, whose last few numbers
go another way than those that fill a vector register. A job's bits would depend on its company.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass, RecurrentCell, State
from worker.cells.flow import join_jobs
from worker.training.parameters import LayerParameters, of_job


@dataclass(frozen=True)
class JobByJob:
    """Any cell that is the same for all jobs."""

    cell: RecurrentCell

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        passes = tuple(
            self.cell.forward(_row(x_KTBI, job), of_job(parameters, job), _rows(initial, job))
            for job in range(len(x_KTBI))
        )
        return _JobByJobPass(
            h_KTBH=torch.cat([forward.h_KTBH for forward in passes]),
            final_state=_join_states([forward.final_state for forward in passes]),
            passes=passes,
        )


@dataclass(frozen=True)
class _JobByJobPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    passes: tuple[LayerPass, ...]

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,
    ) -> LayerBackward:
        backs = [
            forward.backward(
                _row(grad_h_KSBH, job),
                {name: gradient[job : job + 1] for name, gradient in gradients.items()},
                grad_final=_rows(grad_final, job),
                needs_grad_x=needs_grad_x,
                measure=measure,
            )
            for job, forward in enumerate(self.passes)
        ]
        grads_x = [back.grad_x_KTBI for back in backs if back.grad_x_KTBI is not None]
        flows = [back.flow for back in backs if back.flow is not None]
        return LayerBackward(
            torch.cat(grads_x) if grads_x else None,
            _join_states([back.grad_initial for back in backs]),
            join_jobs(flows) if flows else None,
        )


def _row(tensor: Tensor, job: int) -> Tensor:
    """One job's part as a pack of one, always laid out and aligned alike."""
    return tensor[job : job + 1].clone(memory_format=torch.contiguous_format)


def _rows(state: State | None, job: int) -> State | None:
    return None if state is None else tuple(_row(part, job) for part in state)


def _join_states(states: Sequence[State]) -> State:
    return tuple(torch.cat(parts) for parts in zip(*states, strict=True))
