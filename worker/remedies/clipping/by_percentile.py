"""AutoClip: norm clipping at a percentile of the norms seen so far.

Shapes: K jobs of a pack, P parameters of one job, N remembered norms.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from contract.spec import Clipping, PercentileClipping
from worker.remedies.clipping.rule import ClippingRule, coefficient, column, scale_

REMEMBERED = 10_000
"""Norms of the past that count; the authors keep all, which no long training can."""


class ByPercentile(ClippingRule):
    """g <- g * min(1, c / ||g||), c the percentile of all norms so far, this step's among them.

    The percentile is interpolated linearly, as by `numpy.percentile`. The first norm is its own
    percentile: the first step is never cut. Norms are remembered as they were before clipping.

    Source:
        Seetharaman, Wichern, Pardo & Le Roux, "AutoClip: adaptive gradient clipping for source
        separation networks", MLSP 2020.
    """

    def __init__(self, clippings: Sequence[Clipping | None], device: torch.device) -> None:
        super().__init__()
        asked = [c.percentile if isinstance(c, PercentileClipping) else math.nan for c in clippings]
        self._share_K1 = column(asked, device)[:, None] / 100
        self._asked_K1 = ~self._share_K1.isnan()
        shape = len(asked), REMEMBERED
        # Places not yet written hold inf, which sorts behind all norms.
        self._norm_KN = torch.full(shape, math.inf, dtype=torch.float64, device=device)
        self._sorted_KN = self._norm_KN.clone()
        self._count_K1 = torch.zeros((len(asked), 1), dtype=torch.int64, device=device)
        self.state = {
            "auto.norm": self._norm_KN,
            "auto.sorted": self._sorted_KN,
            "auto.count": self._count_K1,
        }

    def clip_(
        self,
        gradients_KP: Tensor,
        parameters_KP: Tensor,  # noqa: ARG002 - for rules that look at the weights
        norm_K: Tensor,
        sound_K: Tensor,
    ) -> Tensor:
        """Remember the norms, then scale the rows that are above the percentile."""
        taken_K1 = sound_K[:, None] & self._asked_K1
        self._remember(norm_K[:, None], taken_K1)
        limit_K = torch.where(taken_K1, self._percentile(), math.inf).squeeze(1)
        coef_K = coefficient(norm_K, limit_K)
        scale_(gradients_KP, coef_K)
        return coef_K

    def _remember(self, norm_K1: Tensor, taken_K1: Tensor) -> None:
        """Write the norms that are taken over the oldest ones."""
        place_K1 = self._count_K1 % REMEMBERED
        oldest_K1 = self._norm_KN.gather(1, place_K1)
        newest_K1 = torch.where(taken_K1, norm_K1, oldest_K1)
        self._norm_KN.scatter_(1, place_K1, newest_K1)
        self._count_K1.add_(taken_K1)
        # To sort what is sorted but for one entry is several times cheaper than to sort the ring.
        self._sorted_KN.scatter_(1, torch.searchsorted(self._sorted_KN, oldest_K1), newest_K1)
        self._sorted_KN.copy_(self._sorted_KN.sort(dim=1).values)

    def _percentile(self) -> Tensor:
        """(K, 1) percentiles of what is remembered; of no meaning where nothing is."""
        last_K1 = (self._count_K1.clamp(max=REMEMBERED) - 1).clamp(min=0)
        rank_K1 = torch.where(self._asked_K1, self._share_K1, 0.0) * last_K1
        below_K1 = rank_K1.floor().long()
        low_K1 = self._sorted_KN.gather(1, below_K1)
        high_K1 = self._sorted_KN.gather(1, torch.minimum(below_K1 + 1, last_K1))
        return low_K1 + (high_K1 - low_K1) * (rank_K1 - below_K1)
