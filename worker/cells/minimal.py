"""What the minimal GRU and LSTM have in common: a state that is a running mean of candidates.

    h_t = keep_t * h_{t-1} + (1 - keep_t) * candidate_t,  keep_t = sigmoid(d_t)
    dL/dd_t = dL/dh_t * (h_{t-1} - candidate_t) * keep_t * (1 - keep_t)

d_t and the candidate are functions of x_t alone, so that a scan gives all states at once; the
candidate is linear in x_t, and may be negative.

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units, G gates and the
candidate, which comes last, times H.

Source:
    Feng et al., "Were RNNs all we needed?", arXiv 2410.01201, without the log-space form, which
    needs positive states.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass, State
from worker.cells.flow import LayerFlow, state_gradient_norm
from worker.cells.products import (
    gate_saturation,
    gradient_by_states,
    input_gradients,
    project_input,
)
from worker.cells.scan import scan, scan_backward
from worker.training.parameters import LayerParameters


class MinimalGates(ABC):
    """How the gates of one kind of cell, given before their sigmoid, say what is kept."""

    count: int
    """How many they are; the candidate is none."""

    @abstractmethod
    def keep_logit(self, gates: Sequence[Tensor]) -> Tensor:
        """The logit d of what is kept, from the gates, each (K, T, B, H)."""

    @abstractmethod
    def deltas(self, gates: Sequence[Tensor], delta_KTBH: Tensor) -> list[Tensor]:
        """The gradient by each gate from that by d."""


@dataclass(frozen=True)
class MinimalReference:
    """A layer of a minimal cell."""

    gates: MinimalGates

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        projected_KTBG = project_input(x_KTBI, parameters["weight_ih"], parameters["bias_ih"])
        *gates, candidate_KTBH = projected_KTBG.chunk(self.gates.count + 1, dim=3)
        logit_KTBH = self.gates.keep_logit(gates)
        # Not 1 - keep: that is 0 long before its own sigmoid is.
        keep_KTBH, write_KTBH = logit_KTBH.sigmoid(), (-logit_KTBH).sigmoid()
        drive_KTBH = write_KTBH * candidate_KTBH
        initial_KBH = initial[0] if initial else torch.zeros_like(drive_KTBH[:, 0])
        drive_KTBH[:, 0].addcmul_(keep_KTBH[:, 0], initial_KBH)
        h_KTBH = scan(keep_KTBH, drive_KTBH)
        return _MinimalPass(
            h_KTBH=h_KTBH,
            final_state=(h_KTBH[:, -1],),
            x_KTBI=x_KTBI,
            initial_KBH=initial_KBH,
            parameters=parameters,
            kind=self.gates,
            gates=gates,
            candidate_KTBH=candidate_KTBH,
            keep_KTBH=keep_KTBH,
            write_KTBH=write_KTBH,
        )


@dataclass(frozen=True)
class _MinimalPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    x_KTBI: Tensor
    initial_KBH: Tensor
    parameters: LayerParameters
    kind: MinimalGates
    gates: Sequence[Tensor]
    candidate_KTBH: Tensor
    keep_KTBH: Tensor
    write_KTBH: Tensor  # 1 - keep

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,
    ) -> LayerBackward:
        grad_final_KBH = grad_final[0] if grad_final else None
        outside_KTBH = gradient_by_states(grad_h_KSBH, self.h_KTBH.shape[1], grad_final_KBH)
        grad_h_KTBH = scan_backward(self.keep_KTBH, outside_KTBH)
        delta_KTBH = self._keep_slope().mul_(grad_h_KTBH)
        delta_KTBG = torch.cat(
            [*self.kind.deltas(self.gates, delta_KTBH), grad_h_KTBH * self.write_KTBH], dim=3
        )
        grad_x_KTBI = input_gradients(
            self.x_KTBI, delta_KTBG, self.parameters, gradients, needs_grad_x=needs_grad_x
        )
        grad_initial_KBH = grad_h_KTBH[:, 0] * self.keep_KTBH[:, 0]
        flow = self._flow(grad_h_KTBH) if measure else None
        return LayerBackward(grad_x_KTBI, (grad_initial_KBH,), flow)

    def _keep_slope(self) -> Tensor:
        """dh_t/dd_t = (h_{t-1} - candidate_t) * keep_t * (1 - keep_t)."""
        slope_KTBH = -self.candidate_KTBH
        slope_KTBH[:, 0] += self.initial_KBH
        slope_KTBH[:, 1:] += self.h_KTBH[:, :-1]
        return slope_KTBH.mul_(self.keep_KTBH).mul_(self.write_KTBH)

    def _flow(self, grad_h_KTBH: Tensor) -> LayerFlow:
        grad_norm_KT = state_gradient_norm([grad_h_KTBH])
        shares = [gate_saturation(gate_KTBH.sigmoid()) for gate_KTBH in self.gates]
        return LayerFlow(
            grad_norm_KT=grad_norm_KT,
            weight_term_norm_KT=torch.full_like(grad_norm_KT, torch.nan),
            saturation_K=torch.stack(shares).mean(dim=0),
            silent_KH=None,
        )
