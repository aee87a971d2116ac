"""A Skip RNN on the CPU, equal to `skipping.py` within float32.

Shapes: K jobs of a pack, T time steps, S of them with a gradient from outside, B sequences,
I inputs, H hidden units.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass, State
from worker.cells.flow import LayerFlow
from worker.cells.gru.cpu import stack_gru_weights, unstack_gru_gradients
from worker.cells.matmul import Floats
from worker.cells.rnn.activation_kernels import Forms
from worker.cells.rnn.cpu import forms_of
from worker.cells.skipping_kernels import (
    GRU,
    LSTM,
    RNN,
    Gate,
    Kept,
    Weights,
    backward,
    forward,
    make_kept,
)
from worker.cells.stacked import (
    part_of_state,
    sequences_last,
    stack_weights,
    states_of,
    unstack_gradients,
)
from worker.remedies.activations import Nonlinearity
from worker.training.parameters import LayerParameters

_KINDS: Final = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


@dataclass(frozen=True)
class SkippingCpu:
    """An RNN, GRU or LSTM behind a gate, in float32; hands on its state and p, (K, B, 1).

    Args:
        kind: of the cell.
        nonlinearity: of an RNN; the others do not use it.
        cost_K: added to what is minimised for each update in a sequence.
    """

    kind: str
    nonlinearity: Nonlinearity
    cost_K: Floats

    def forward(
        self, x_KTBI: Tensor, parameters: LayerParameters, initial: State | None = None
    ) -> LayerPass:
        """Run over all time steps."""
        size = parameters["weight_hh"].shape[2]
        x_KTIB, weights = sequences_last(x_KTBI), self._weights(parameters)
        c_size = size if self.kind == "lstm" else 0
        first_h = part_of_state(initial, 0, x_KTIB, size)
        first_c = part_of_state(initial if c_size else None, 1, x_KTIB, c_size)
        kept = make_kept(_KINDS[self.kind], x_KTIB, (first_h, first_c))
        gate = _gate(parameters, x_KTIB, initial)
        forms = forms_of(self.nonlinearity, parameters)
        forward(_KINDS[self.kind], kept, weights, forms, gate)
        h_KTBH = states_of(kept[0], size)
        final = [h_KTBH[:, -1], torch.from_numpy(gate[2][:, -1]).unsqueeze(2)]
        if c_size:
            final.insert(1, torch.from_numpy(kept[3][:, -1]).transpose(1, 2))
        return _SkippingCpuPass(h_KTBH, tuple(final), self, kept, weights, forms, gate)

    def _weights(self, parameters: LayerParameters) -> Weights:
        if self.kind == "gru":
            return stack_gru_weights(parameters)
        weight_KGF = stack_weights(parameters)
        nothing = np.zeros((len(weight_KGF), 0, parameters["weight_hh"].shape[2]), np.float32)
        return weight_KGF, nothing, nothing


def _gate(parameters: LayerParameters, x_KTIB: Floats, initial: State | None) -> Gate:
    """Weight and bias of the gate, and room for p, whose first is set, and d."""
    jobs, time_steps, _, sequences = x_KTIB.shape
    chance_KTB = np.empty((jobs, time_steps + 1, sequences), np.float32)
    chance_KTB[:, 0] = initial[-1][..., 0].numpy() if initial else 1
    return (
        parameters["skip_weight"][:, 0].contiguous().numpy(),
        parameters["skip_bias"].contiguous().numpy(),
        chance_KTB,
        np.empty((jobs, time_steps, sequences), np.float32),
    )


@dataclass(frozen=True)
class _SkippingCpuPass(LayerPass):
    h_KTBH: Tensor
    final_state: State
    cell: SkippingCpu
    kept: Kept
    weights: Weights
    forms: Forms
    gate: Gate

    def backward(
        self,
        grad_h_KSBH: Tensor,
        gradients: LayerParameters,
        *,
        grad_final: State | None = None,
        needs_grad_x: bool,
        measure: bool,  # noqa: ARG002 - costs next to nothing here
    ) -> LayerBackward:
        sequences, c_size = self.h_KTBH.shape[2], self.kept[3].shape[2]
        grads, grad_bias_KH = self._grads(grad_final, c_size), np.zeros_like(self.forms.bias_KH)
        grad_weights, grad_gate, grad_x_KTIB, norms_2KT, flat_K, silent_KH = backward(
            _KINDS[self.cell.kind],
            self.kept,
            self.weights,
            self.forms,
            self.gate,
            self.cell.cost_K / np.float32(sequences),
            sequences_last(grad_h_KSBH),
            grads,
            grad_bias_KH,
            needs_grad_x,
        )
        if self.cell.kind == "gru":
            unstack_gru_gradients(grad_weights, gradients)
        else:
            unstack_gradients(grad_weights[:2], gradients)
        gradients["skip_weight"].copy_(torch.from_numpy(grad_gate[0]).unsqueeze(1))
        if grad_bias_KH.size:
            np.copyto(gradients["activation_bias"].numpy(), grad_bias_KH)
        gradients["skip_bias"].copy_(torch.from_numpy(grad_gate[1]))
        grad_h, grad_c, grad_chance = (torch.from_numpy(grad) for grad in grads)
        states = [grad_h.transpose(1, 2), grad_chance.unsqueeze(2)]
        if c_size:
            states.insert(1, grad_c.transpose(1, 2))
        updates_KTB = self.gate[2][:, :-1] > np.float32(0.5)
        can_die = self.cell.kind == "rnn" and self.forms.can_die
        return LayerBackward(
            grad_x_KTBI=torch.from_numpy(grad_x_KTIB).transpose(2, 3) if needs_grad_x else None,
            grad_initial=tuple(states),
            flow=LayerFlow(
                grad_norm_KT=torch.from_numpy(norms_2KT[0]),
                weight_term_norm_KT=torch.from_numpy(norms_2KT[1]),
                saturation_K=torch.from_numpy(flat_K),
                silent_KH=torch.from_numpy(silent_KH) if can_die else None,
                update_fraction_K=torch.from_numpy(updates_KTB.mean(axis=(1, 2))),
            ),
        )

    def _grads(self, grad_final: State | None, c_size: int) -> tuple[Floats, Floats, Floats]:
        """New arrays of the gradients by the last h, c and p."""
        z_KTFB, size = self.kept[0], self.h_KTBH.shape[3]
        chance_KB = np.zeros_like(self.gate[2][:, 0])
        if grad_final:
            chance_KB[:] = grad_final[-1][..., 0].numpy()
        return (
            part_of_state(grad_final, 0, z_KTFB, size),
            part_of_state(grad_final if c_size else None, 1, z_KTFB, c_size),
            chance_KB,
        )
