"""Clipping by the norm of the whole gradient.

Shapes: K jobs of a pack, P parameters of one job.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract.spec import Clipping, NormClipping
from worker.cells.compiled import compiled_exactly
from worker.remedies.clipping.rule import ClippingRule, column, scale_

# torch's own guard against a division by zero in `clip_grad_norm_`.
_NORM_EPS = 1e-6


class ByNorm(ClippingRule):
    """g <- g * min(1, max_norm / (||g|| + 1e-6)), as `torch.nn.utils.clip_grad_norm_`.

    Source:
        Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks", ICML
        2013.
    """

    def __init__(self, clippings: Sequence[Clipping | None], device: torch.device) -> None:
        super().__init__()
        limits = [c.max_norm if isinstance(c, NormClipping) else math.inf for c in clippings]
        self._limit_K = column(limits, device)

    def clip_(
        self,
        gradients_KP: Tensor,
        parameters_KP: Tensor,  # noqa: ARG002 - for rules that look at the weights
        norm_K: Tensor,
        sound_K: Tensor,
    ) -> Tensor:
        """Scale the rows that are too long."""
        if gradients_KP.device.type == "cpu" and gradients_KP.dtype == torch.float32:
            limits = self._limit_K.numpy(), norm_K.numpy(), sound_K.numpy()
            return torch.from_numpy(_scale_rows(gradients_KP.numpy(), *limits))
        coef_K = (self._limit_K / (norm_K + _NORM_EPS)).clamp(max=1.0)
        # inf/inf is nan and 1/inf is 0: both would turn a gradient into something it was not.
        coef_K = torch.where(sound_K, coef_K, 1.0)
        scale_(gradients_KP, coef_K)
        return coef_K


@compiled_exactly
def _scale_rows(
    gradients_KP: NDArray[np.float32],
    limit_K: NDArray[np.float64],
    norm_K: NDArray[np.float64],
    sound_K: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """The same on the CPU, leaving alone the rows that are short enough."""
    coef_K = np.ones(norm_K.size)
    for row in range(norm_K.size):
        coef = limit_K[row] / (norm_K[row] + _NORM_EPS)
        if sound_K[row] and coef < 1:
            coef_K[row] = coef
            factor = np.float32(coef)
            for at in range(gradients_KP.shape[1]):
                gradients_KP[row, at] *= factor
    return coef_K
