"""Adaptive gradient clipping (AGC): each unit's gradient against the unit's own weights.

Shapes: K jobs of a pack, P parameters of one job, R units (rows), C weights of a unit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from contract.spec import Clipping, UnitClipping
from worker.remedies.clipping.rule import ClippingRule, column, gradient_norm
from worker.training.parameters import ParameterLayout

_READOUT = "readout."


class ByUnit(ClippingRule):
    """Each unit i: g_i <- g_i * min(1, clipping * max(||w_i||, eps) / ||g_i||).

    A unit is a row of a weight matrix with its bias, as the bias is the weight of an input that is
    always 1. The authors' code, and timm's, take a bias vector for a unit by itself; one that
    starts at 0, as after an orthogonal start, may then move by lr * clipping * eps a step at most,
    1e-7 with SGD's default. Within its row it is bounded by the row's norm. A vector without
    a matrix of its name (`..bias..` and `..weight..`) is a unit as a whole, as with them. The
    readout is not clipped, as they advise for the last layer.

    Source:
        Brock, De, Smith & Simonyan, "High-performance large-scale image recognition without
        normalization", ICML 2021, section 4.
    """

    def __init__(
        self,
        clippings: Sequence[Clipping | None],
        layout: ParameterLayout,
        device: torch.device,
    ) -> None:
        super().__init__()
        asked = [c if isinstance(c, UnitClipping) else None for c in clippings]
        self._layout = layout
        self._units = _units(layout.shapes)
        self._ratio_K1 = column([c.clipping if c else math.inf for c in asked], device)[:, None]
        self._eps_K1 = column([c.eps if c else 1.0 for c in asked], device)[:, None]

    def clip_(
        self, gradients_KP: Tensor, parameters_KP: Tensor, norm_K: Tensor, sound_K: Tensor
    ) -> Tensor:
        """Scale the units whose gradient is too long for their weights."""
        gradients, parameters = self._layout.named(gradients_KP), self._layout.named(parameters_KP)
        cut_K = torch.zeros_like(sound_K)
        for unit in self._units:
            limit_KR = self._ratio_K1 * unit.norm(parameters).clamp(min=self._eps_K1)
            # The limit is above 0, so that 0 divides it to inf and never to nan.
            coef_KR = (limit_KR / unit.norm(gradients)).clamp(max=1.0)
            coef_KR = torch.where(sound_K[:, None], coef_KR, 1.0)
            unit.scale_(gradients, coef_KR)
            cut_K |= (coef_KR < 1).any(dim=1)
        return torch.where(cut_K, gradient_norm(gradients_KP) / norm_K, 1.0)


@dataclass(frozen=True)
class _Units:
    """The units of one matrix and its bias, or one vector that is a unit by itself."""

    weight: str | None
    bias: str | None

    def norm(self, tensors: dict[str, Tensor]) -> Tensor:
        """(K, R) float64 norms of the units; (K, 1) of a vector."""
        if self.weight is None:
            return _row_norm(tensors[str(self.bias)]).unsqueeze(1)
        norm_KR = _row_norm(tensors[self.weight])
        if self.bias is None:
            return norm_KR
        bias_KR = tensors[self.bias].double()
        return (norm_KR * norm_KR).add_(bias_KR * bias_KR).sqrt_()

    def scale_(self, tensors: dict[str, Tensor], coef_KR: Tensor) -> None:
        """Multiply every unit by its coefficient."""
        if self.weight is not None:
            weight_KRC = tensors[self.weight]
            weight_KRC.mul_(coef_KR.unsqueeze(2).to(weight_KRC.dtype))
        if self.bias is not None:
            bias_KR = tensors[self.bias]
            bias_KR.mul_(coef_KR.to(bias_KR.dtype))


def _row_norm(rows: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(rows, dim=-1, dtype=torch.float64)
    return norm


def _units(shapes: dict[str, tuple[int, ...]]) -> list[_Units]:
    """The units of all layers but the readout."""
    clipped = {name: shape for name, shape in shapes.items() if not name.startswith(_READOUT)}
    vectors = [name for name, shape in clipped.items() if len(shape) == 1]
    bias_of = {
        matrix: name
        for name in vectors
        if (matrix := name.replace("bias", "weight")) != name
        and clipped.get(matrix, ())[:1] == clipped[name]
    }
    matrices = [name for name, shape in clipped.items() if len(shape) > 1]
    lone = [name for name in vectors if name not in bias_of.values()]
    return [
        *(_Units(name, bias_of.get(name)) for name in matrices),
        *(_Units(None, name) for name in lone),
    ]
