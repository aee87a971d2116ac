"""A cell whose steps see the state of d steps before in the place of the last one.

    h_t = S(h_{t-d}, x_t)

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units, d dilation, M phases, N rounds, D = K*M jobs of the inner cell.

The states fall into d phases that never meet; each is an ordinary run over every d-th step. So the
phases become jobs of a pack, each with its job's parameters, whose gradients are added up. N*d + M
steps are a block of N rounds of all d phases, and a block of one round of the first M of them.

Source:
    Chang et al., "Dilated recurrent neural networks", NIPS 2017.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass, RecurrentCell, State
from worker.cells.flow import LayerFlow, join_in_time
from worker.cells.products import gradient_by_states
from worker.training.parameters import LayerParameters


@dataclass(frozen=True)
class DilatedCell:
    """Any cell, dilated; it hands on the states of the last d steps, each part (K, d, B, H).

    Args:
        make_cell: the cell for a pack in which every job stands so many times in a row.
        dilation: d, at least 1.
    """

    make_cell: Callable[[int], RecurrentCell]
    dilation: int

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        blocks: list[_Block] = []
        state = initial
        for first, end, phases in self._bounds(x_KTBI.shape[1]):
            forward = self.make_cell(phases).forward(
                _to_phases(x_KTBI[:, first:end], phases),
                _repeated(parameters, phases),
                tuple(part[:, :phases].flatten(0, 1) for part in state) if state else None,
            )
            blocks.append(_Block(forward, first, end, phases, self.dilation))
            state = blocks[-1].last_states(state)
        h_KTBH = torch.cat([block.output() for block in blocks], dim=1)
        return _DilatedPass(h_KTBH, state or (), tuple(blocks))

    def _bounds(self, time_steps: int) -> Iterator[tuple[int, int, int]]:
        """First step, end and phases of each block that has a step."""
        rest = time_steps % self.dilation
        if rest < time_steps:
            yield 0, time_steps - rest, self.dilation
        if rest:
            yield time_steps - rest, time_steps, rest


@dataclass(frozen=True)
class _Block:
    """Consecutive time steps in which every phase that takes part has equally many."""

    forward: LayerPass
    first: int
    end: int
    phases: int
    dilation: int

    def output(self) -> Tensor:
        """The states h of its time steps, (K, T, B, H)."""
        return _to_time(self.forward.h_KTBH, self.phases)

    def last_states(self, before: State | None) -> State:
        """The last d states, each part (K, d, B, H), given those before the block."""
        new = _by_phase(self.forward.final_state, self.phases)
        old = before or _zeros_like(new, self.dilation)
        return tuple(
            torch.cat([old_KdBH[:, self.phases :], new_KMBH], dim=1)
            for old_KdBH, new_KMBH in zip(old, new, strict=True)
        )

    def backward(
        self,
        grad_h_KTBH: Tensor,
        gradients: LayerParameters,
        later: State | None,
        *,
        needs_grad_x: bool,
        measure: bool,
    ) -> LayerBackward:
        """Go back over the block, adding to `gradients`; `later` is by its `last_states`."""
        scratch = _repeated(gradients, self.phases)
        left_out = self.dilation - self.phases
        back = self.forward.backward(
            _to_phases(grad_h_KTBH[:, self.first : self.end], self.phases),
            scratch,
            grad_final=tuple(part[:, left_out:].flatten(0, 1) for part in later) if later else None,
            needs_grad_x=needs_grad_x,
            measure=measure,
        )
        for name, gradient in gradients.items():
            gradient.add_(_by_phase((scratch[name],), self.phases)[0].sum(dim=1))
        new = _by_phase(back.grad_initial, self.phases)
        old = later or _zeros_like(new, self.dilation)
        return LayerBackward(
            None if back.grad_x_KTBI is None else _to_time(back.grad_x_KTBI, self.phases),
            tuple(
                torch.cat([new_KMBH, old_KdBH[:, :left_out]], dim=1)
                for new_KMBH, old_KdBH in zip(new, old, strict=True)
            ),
            None if back.flow is None else _flow_in_time(back.flow, self.phases),
        )


@dataclass(frozen=True)
class _DilatedPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    blocks: tuple[_Block, ...]

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,
    ) -> LayerBackward:
        grad_h_KTBH = gradient_by_states(grad_h_KSBH, self.h_KTBH.shape[1], None)
        for gradient in gradients.values():
            gradient.zero_()
        backs: list[LayerBackward] = []
        later = grad_final
        for block in reversed(self.blocks):
            back = block.backward(
                grad_h_KTBH, gradients, later, needs_grad_x=needs_grad_x, measure=measure
            )
            backs.insert(0, back)
            later = back.grad_initial
        grads_x = [back.grad_x_KTBI for back in backs if back.grad_x_KTBI is not None]
        flows = [back.flow for back in backs if back.flow is not None]
        return LayerBackward(
            torch.cat(grads_x, dim=1) if grads_x else None,
            backs[0].grad_initial,
            join_in_time(flows) if flows else None,
        )


def _to_phases(x_KTBI: Tensor, phases: int) -> Tensor:
    """Each phase by itself, (D, N, B, I)."""
    jobs, time_steps, *rest = x_KTBI.shape
    x_KNMBI = x_KTBI.reshape(jobs, time_steps // phases, phases, *rest)
    return x_KNMBI.transpose(1, 2).flatten(0, 1)


def _to_time(x_DNBH: Tensor, phases: int) -> Tensor:
    """The phases interleaved again, (K, T, B, H) from (D, N, B, H)."""
    (x_KMNBH,) = _by_phase((x_DNBH,), phases)
    return x_KMNBH.transpose(1, 2).flatten(1, 2)


def _by_phase(parts: State, phases: int) -> State:
    """Each (K, M, ...) from (D, ...)."""
    return tuple(part.reshape(-1, phases, *part.shape[1:]) for part in parts)


def _repeated(parameters: LayerParameters, phases: int) -> LayerParameters:
    return {name: tensor.repeat_interleave(phases, dim=0) for name, tensor in parameters.items()}


def _zeros_like(states: State, dilation: int) -> State:
    """States of zeros, d of them, each part (K, d, B, H), from states (K, M, B, H)."""
    return tuple(part.new_zeros(part.shape[0], dilation, *part.shape[2:]) for part in states)


def _flow_in_time(flow: LayerFlow, phases: int) -> LayerFlow:
    (saturation_KM,) = _by_phase((flow.saturation_K,), phases)
    silent = None if flow.silent_KH is None else _by_phase((flow.silent_KH,), phases)[0].all(dim=1)
    return LayerFlow(
        grad_norm_KT=_to_time(flow.grad_norm_KT, phases),
        weight_term_norm_KT=_to_time(flow.weight_term_norm_KT, phases),
        saturation_K=saturation_KM.mean(dim=1),
        silent_KH=silent,
    )
