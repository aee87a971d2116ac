"""How the gradient flows back through time: what the layers measured, as each job's record.

Shapes: K jobs of a pack, L layers, T time steps, H hidden units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.cells.flow import LayerFlow, sum_in_order
from worker.training.measures import spectral_radius
from worker.training.parameters import NetworkParameters
from worker.training.records import FlowRecord

FLOW_FLOOR = torch.finfo(torch.float32).tiny
"""Smallest norm that means anything: what lies below it was rounded away in float32."""

REACH_SHARE = 0.01
"""A time step is reached if this share of the last one's norm gets there."""


def reach(norm_T: NDArray[np.float64], span: int = 1) -> int:
    """How many of the most recent time steps, counting T itself, the gradient reaches.

    They are counted back from T to the last one before `span` steps in a row whose norms are below
    1 % of the norm at T, or below `FLOW_FLOOR`. 0 if there is no gradient at T, or none that is a
    number.

    Args:
        norm_T: of every time step.
        span: time steps that one connection goes back at most: a gradient that comes by skips
            has gaps as long as they are.
    """
    last = norm_T[-1]
    reached_T = norm_T >= max(REACH_SHARE * last, FLOW_FLOOR)
    if not reached_T[-1]:
        return 0
    ages = np.flatnonzero(reached_T[::-1])
    breaks = np.flatnonzero(np.diff(ages) > span)
    return int(ages[breaks[0] if len(breaks) else -1]) + 1


@dataclass(frozen=True)
class PackFlow:
    """The flow of all jobs of a pack at one step, on the host."""

    grad_norm_KLT: NDArray[np.float64]
    weight_term_norm_KLT: NDArray[np.float64]
    saturation_K: list[float]
    dead_fraction_K: list[float] | None
    spectral_radius_K: list[float] | None
    update_fraction_K: list[float] | None = None

    def record(self, step: int, index: int, *, span: int = 1, with_radius: bool) -> FlowRecord:
        """One job's record; a radius that is not finite becomes None. For `span` see `reach`."""
        dead_K = self.dead_fraction_K
        radius_K = self.spectral_radius_K if with_radius else None
        return FlowRecord(
            step=step,
            grad_norm_LT=self.grad_norm_KLT[index],
            weight_term_norm_LT=self.weight_term_norm_KLT[index],
            reach_L=tuple(reach(norm_T, span) for norm_T in self.grad_norm_KLT[index]),
            spectral_radius=_finite_or_none(radius_K[index]) if radius_K else None,
            saturation=self.saturation_K[index],
            dead_fraction=dead_K[index] if dead_K else None,
            update_fraction=self.update_fraction_K[index] if self.update_fraction_K else None,
        )


def collect_flow(
    layers: Sequence[LayerFlow], parameters: NetworkParameters, *, with_radius: bool
) -> PackFlow:
    """Bring the flow of all layers to the host.

    Args:
        layers: from the input up, one a direction.
        parameters: before the update.
        with_radius: whether the spectral radius is wanted: it costs more than the rest.
    """
    grad_norm_KLT = torch.stack([layer.grad_norm_KT for layer in layers], dim=1)
    term_norm_KLT = torch.stack([layer.weight_term_norm_KT for layer in layers], dim=1)
    saturation_K = _mean([layer.saturation_K for layer in layers])
    silent = [layer.silent_KH for layer in layers if layer.silent_KH is not None]
    updated = [layer.update_fraction_K for layer in layers if layer.update_fraction_K is not None]
    return PackFlow(
        grad_norm_KLT=grad_norm_KLT.cpu().numpy(),
        weight_term_norm_KLT=term_norm_KLT.cpu().numpy(),
        saturation_K=saturation_K.tolist(),
        dead_fraction_K=torch.cat(silent, dim=1).double().mean(dim=1).tolist() if silent else None,
        spectral_radius_K=spectral_radius(parameters).tolist() if with_radius else None,
        update_fraction_K=_mean(updated).tolist() if updated else None,
    )


def _mean(shares: Sequence[Tensor]) -> Tensor:
    return sum_in_order(shares) / len(shares)


def _finite_or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
