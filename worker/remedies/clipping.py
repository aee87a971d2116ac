"""Bounding the gradient before the update.

Shapes: K jobs of a pack, P parameters of one job.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from contract.spec.clipping import Clipping, NormClipping, ValueClipping

# torch's own guard against a division by zero in `clip_grad_norm_`.
_NORM_EPS = 1e-6


def clip(gradients_KP: Tensor, clippings: Sequence[Clipping | None]) -> tuple[Tensor, Tensor]:
    """Clip every job's gradient in place, each by its own rule.

        norm:  g <- g * min(1, max_norm / (||g|| + 1e-6))
        value: g <- min(max(g, -clip_value), clip_value)

    A gradient that is not finite is left as it is and its norm is not finite either: refusing the
    update is the caller's part. No job's numbers depend on another's.

    Args:
        gradients_KP: one row a job, float32 or float64.
        clippings: K rules; None leaves that job's gradient alone.

    Returns:
        norm_K: L2 norm of the whole gradient before clipping, float64. It is summed in float64, as
            the squares of float32 entries above 1.8e19 overflow float32: a finite float32 gradient
            always has a finite norm. (float64 gradients overflow from 1e154 on.)
        coef_K: norm after over norm before, float64, in (0, 1]; 1 when nothing was cut.

    Source:
        Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks", ICML
        2013; by value: Mikolov, "Statistical language models based on neural networks", 2012.
    """
    norm_K = _norm(gradients_KP)
    coef_K = torch.ones_like(norm_K)
    if any(isinstance(clipping, NormClipping) for clipping in clippings):
        coef_K = coef_K * _clip_norm(gradients_KP, norm_K, clippings)
    if any(isinstance(clipping, ValueClipping) for clipping in clippings):
        coef_K = coef_K * _clip_value(gradients_KP, norm_K, clippings)
    return norm_K, coef_K


def _norm(gradients_KP: Tensor) -> Tensor:
    # One reduction by row: the same bits for a job in whatever pack it is.
    norm_K: Tensor = torch.linalg.vector_norm(gradients_KP, dim=1, dtype=torch.float64)
    return norm_K


def _clip_norm(
    gradients_KP: Tensor, norm_K: Tensor, clippings: Sequence[Clipping | None]
) -> Tensor:
    """Scale the rows that are too long; rows under another rule have an infinite limit."""
    limit_K = _limits(
        [c.max_norm if isinstance(c, NormClipping) else math.inf for c in clippings], norm_K
    )
    coef_K = (limit_K / (norm_K + _NORM_EPS)).clamp(max=1.0)
    # inf/inf is nan and 1/inf is 0: both would turn a gradient into something it was not.
    coef_K = torch.where(norm_K < math.inf, coef_K, 1.0)
    gradients_KP.mul_(coef_K.to(gradients_KP.dtype).unsqueeze(1))
    return coef_K


def _clip_value(
    gradients_KP: Tensor, norm_K: Tensor, clippings: Sequence[Clipping | None]
) -> Tensor:
    """Clamp the entries that are too large; rows under another rule have an infinite limit."""
    limit_K = _limits(
        [c.clip_value if isinstance(c, ValueClipping) else math.inf for c in clippings], norm_K
    )
    # Clamping an infinite entry would make a broken gradient look sound.
    limit_K = torch.where(norm_K < math.inf, limit_K, math.inf)
    bound_K1 = limit_K.to(gradients_KP.dtype).unsqueeze(1)
    largest_K = gradients_KP.abs().amax(dim=1)
    torch.clamp(gradients_KP, min=-bound_K1, max=bound_K1, out=gradients_KP)
    return torch.where(largest_K > bound_K1.squeeze(1), _norm(gradients_KP) / norm_K, 1.0)


def _limits(limits: list[float], like_K: Tensor) -> Tensor:
    # non_blocking: a blocking copy to the GPU would wait for all work queued on it.
    return torch.tensor(limits, dtype=torch.float64).to(like_K.device, non_blocking=True)
