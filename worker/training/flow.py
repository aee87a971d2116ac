"""How the gradient flows back through time, from the deltas of the training's own backward pass.

Shapes: K jobs of a pack, L layers, T time steps, B sequences, H hidden units, G gates times H.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass
from worker.training.measures import dead_fraction, saturation, spectral_radius
from worker.training.parameters import NetworkParameters
from worker.training.records import FlowRecord

FLOW_FLOOR = torch.finfo(torch.float32).tiny
"""Smallest norm that means anything: what lies below it was rounded away in float32."""

REACH_SHARE = 0.01
"""A time step is reached if this share of the last one's norm gets there."""


def state_gradient_norm(backward: LayerBackward) -> Tensor:
    """Norm over batch and units of dL_T/dh_t, or of an LSTM's dL_T/d(h_t, c_t): (K, T) float64.

    L_T is the mean loss at the last time step, the derivative the total one, with every path
    through later steps and upper layers. For h_t it is what autograd leaves in `h_t.grad`; c_t
    counts as what step t hands on to t+1, so at t = T it has no gradient.
    """
    norms = [
        torch.linalg.vector_norm(gradient_KTBH, dim=(2, 3), dtype=torch.float64)
        for gradient_KTBH in backward.grad_states
    ]
    combined_KT: Tensor = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return combined_KT


def weight_term_norm(h_KTBH: Tensor, delta_KTBG: Tensor) -> Tensor:
    """Frobenius norm of the term of dL/dW_hh through each time step: (K, T) float64.

    The term is the sum over the batch of delta_t h_{t-1}^T; 0 at t = 1, as h_0 = 0. The terms
    themselves add up to dL/dW_hh.
    """
    norm_KT = h_KTBH.new_zeros(h_KTBH.shape[:2], dtype=torch.float64)
    previous = h_KTBH[:, :-1].unbind(1)
    deltas = delta_KTBG[:, 1:].transpose(2, 3).unbind(1)
    # A step at a time: the terms of all of them would be T times the weights.
    for step, (delta_KGB, previous_KBH) in enumerate(zip(deltas, previous, strict=True), start=1):
        term_KGH = torch.bmm(delta_KGB, previous_KBH)
        norm_KT[:, step] = torch.linalg.vector_norm(term_KGH, dim=(1, 2), dtype=torch.float64)
    return norm_KT


def reach(norm_T: NDArray[np.float64]) -> int:
    """How many of the most recent time steps, counting T itself, the gradient reaches.

    They are counted back from T until the first whose norm is below 1 % of the norm at T, or
    below `FLOW_FLOOR`. 0 if there is no gradient at T, or none that is a number.
    """
    last = norm_T[-1]
    reached_T = norm_T >= max(REACH_SHARE * last, FLOW_FLOOR)
    if np.isnan(last):
        return 0
    missed = np.flatnonzero(~reached_T[::-1])
    return int(missed[0]) if len(missed) else len(norm_T)


@dataclass(frozen=True)
class Activity:
    """How the units behaved in one forward pass; the backward pass overwrites what tells it."""

    saturation_K: Tensor
    dead_fraction_K: Tensor | None


def measure_activity(layers: Sequence[LayerPass]) -> Activity:
    """Measure before the backward pass."""
    return Activity(saturation(layers), dead_fraction(layers))


@dataclass(frozen=True)
class PackFlow:
    """The flow of all jobs of a pack at one step, on the host."""

    grad_norm_KLT: NDArray[np.float64]
    weight_term_norm_KLT: NDArray[np.float64]
    spectral_radius_K: list[float]
    saturation_K: list[float]
    dead_fraction_K: list[float] | None

    def record(self, step: int, index: int) -> FlowRecord:
        """One job's record; a number that is not finite becomes None."""
        dead = self.dead_fraction_K[index] if self.dead_fraction_K else None
        return FlowRecord(
            step=step,
            grad_norm_LT=self.grad_norm_KLT[index],
            weight_term_norm_LT=self.weight_term_norm_KLT[index],
            reach_L=tuple(reach(norm_T) for norm_T in self.grad_norm_KLT[index]),
            spectral_radius=_finite_or_none(self.spectral_radius_K[index]),
            saturation=self.saturation_K[index],
            dead_fraction=dead,
        )


def measure_flow(
    layers: Sequence[LayerPass],
    backwards: Sequence[LayerBackward],
    activity: Activity,
    parameters: NetworkParameters,
) -> PackFlow:
    """Measure after the backward pass, from what it left."""
    grad_norms = [state_gradient_norm(backward) for backward in backwards]
    term_norms = [
        weight_term_norm(layer.h_KTBH, backward.delta_KTBG)
        for layer, backward in zip(layers, backwards, strict=True)
    ]
    dead_K = activity.dead_fraction_K
    return PackFlow(
        grad_norm_KLT=torch.stack(grad_norms, dim=1).cpu().numpy(),
        weight_term_norm_KLT=torch.stack(term_norms, dim=1).cpu().numpy(),
        spectral_radius_K=spectral_radius(parameters).tolist(),
        saturation_K=activity.saturation_K.tolist(),
        dead_fraction_K=None if dead_K is None else dead_K.tolist(),
    )


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
