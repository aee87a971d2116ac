"""ZClip: norms that lie far above their running mean are cut.

Shapes: K jobs of a pack, P parameters of one job.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from contract.spec import Clipping, ZScoreClipping
from worker.remedies.clipping.rule import ClippingRule, coefficient, column, scale_

# The authors' guard: norms that are all alike have a deviation of 0.
_DEVIATION_EPS = 1e-6


class ByZScore(ClippingRule):
    """With z = (||g|| - m) / s, where z > z0: g <- g * c / ||g||, c = m + z0^2 / z * s.

    m and s^2 are running mean and variance of the norms AFTER clipping, so that a spike does not
    make room for the next one:

        n = min(||g||, c);  m <- alpha*m + (1-alpha)*n;  s^2 <- alpha*s^2 + (1-alpha)*(n - m)^2

    The first `warmup_steps` norms are not cut; m and s^2 start as their mean and variance. The
    authors' program also clips at a fixed norm of 1 unless told otherwise; the rule of the paper,
    and this one, does not.

    Source:
        Kumar, Owen, Chowdhury & Guera, "ZClip: adaptive spike mitigation for LLM pre-training",
        arXiv 2504.02507.
    """

    def __init__(self, clippings: Sequence[Clipping | None], device: torch.device) -> None:
        super().__init__()
        asked = [c if isinstance(c, ZScoreClipping) else None for c in clippings]
        self._asked_K = torch.tensor([c is not None for c in asked], device=device)
        self._threshold_K = column([c.z_threshold if c else math.inf for c in asked], device)
        self._alpha_K = column([c.alpha if c else 0.0 for c in asked], device)
        self._warmup_K = column([c.warmup_steps if c else 0 for c in asked], device)
        for name in ("count", "mean", "variance"):
            self.state[f"zclip.{name}"] = torch.zeros_like(self._alpha_K).unsqueeze(1)
        self._count_K, self._mean_K, self._variance_K = (s.squeeze(1) for s in self.state.values())

    def clip_(
        self,
        gradients_KP: Tensor,
        parameters_KP: Tensor,  # noqa: ARG002 - for rules that look at the weights
        norm_K: Tensor,
        sound_K: Tensor,
    ) -> Tensor:
        """Scale the outliers, then remember the norms as they are now."""
        taken_K = sound_K & self._asked_K
        warming_K = self._count_K < self._warmup_K
        limit_K = torch.where(taken_K & ~warming_K, self._limit(norm_K), math.inf)
        coef_K = coefficient(norm_K, limit_K)
        self._remember(torch.where(coef_K < 1, limit_K, norm_K), warming_K, taken_K)
        scale_(gradients_KP, coef_K)
        return coef_K

    def _limit(self, norm_K: Tensor) -> Tensor:
        """The largest norm allowed; inf where this one is no outlier."""
        deviation_K = self._variance_K.sqrt()
        z_K = (norm_K - self._mean_K) / (deviation_K + _DEVIATION_EPS)
        limit_K = self._mean_K + self._threshold_K * deviation_K / (z_K / self._threshold_K)
        return torch.where(z_K > self._threshold_K, limit_K, math.inf)

    def _remember(self, norm_K: Tensor, warming_K: Tensor, taken_K: Tensor) -> None:
        """Move mean and variance: those of all norms while warming up, then smoothed ones."""
        count_K = self._count_K + 1
        alpha_K = torch.where(warming_K, self._count_K / count_K, self._alpha_K)
        take_K = torch.where(warming_K, 1 / count_K, 1 - self._alpha_K)
        mean_K = alpha_K * self._mean_K + take_K * norm_K
        # Of all norms so far (Welford): both deviations, from the mean before and after.
        other_K = torch.where(warming_K, norm_K - self._mean_K, norm_K - mean_K)
        variance_K = alpha_K * self._variance_K + take_K * other_K * (norm_K - mean_K)
        for state_K, new_K in (
            (self._count_K, count_K),
            (self._mean_K, mean_K),
            (self._variance_K, variance_K),
        ):
            state_K.copy_(torch.where(taken_K, new_K, state_K))
