"""Clipping of every entry of the gradient by itself.

Shapes: K jobs of a pack, P parameters of one job.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from contract.spec import Clipping, ValueClipping
from worker.remedies.clipping.rule import ClippingRule, column, gradient_norm


class ByValue(ClippingRule):
    """g <- min(max(g, -clip_value), clip_value), as `torch.nn.utils.clip_grad_value_`.

    Source:
        Mikolov, "Statistical language models based on neural networks", PhD thesis, 2012.
    """

    def __init__(self, clippings: Sequence[Clipping | None], device: torch.device) -> None:
        super().__init__()
        limits = [c.clip_value if isinstance(c, ValueClipping) else math.inf for c in clippings]
        self._limit_K = column(limits, device)

    def clip_(
        self,
        gradients_KP: Tensor,
        parameters_KP: Tensor,  # noqa: ARG002 - for rules that look at the weights
        norm_K: Tensor,
        sound_K: Tensor,
    ) -> Tensor:
        """Clamp the entries that are too large."""
        # Clamping an infinite entry would make a broken gradient look sound.
        limit_K = torch.where(sound_K, self._limit_K, math.inf)
        bound_K1 = limit_K.to(gradients_KP.dtype).unsqueeze(1)
        largest_K = gradients_KP.abs().amax(dim=1)
        torch.clamp(gradients_KP, min=-bound_K1, max=bound_K1, out=gradients_KP)
        cut_K = largest_K > bound_K1.squeeze(1)
        return torch.where(cut_K, gradient_norm(gradients_KP) / norm_K, 1.0)
