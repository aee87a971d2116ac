"""Clipping of a pack: every job's gradient by the job's own rule.

Shapes: K jobs of a pack, P parameters of one job.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from contract.spec import (
    Clipping,
    NormClipping,
    PercentileClipping,
    UnitClipping,
    ValueClipping,
    ZScoreClipping,
)
from worker.remedies.clipping.by_norm import ByNorm
from worker.remedies.clipping.by_percentile import ByPercentile
from worker.remedies.clipping.by_unit import ByUnit
from worker.remedies.clipping.by_value import ByValue
from worker.remedies.clipping.by_z_score import ByZScore
from worker.remedies.clipping.rule import ClippingRule, gradient_norm
from worker.training.parameters import ParameterLayout


class PackClipping:
    """The rules that the jobs of a pack asked for, and what those remember.

    `state` holds that memory by name: (K, ...) tensors, row k being job k's; empty for rules
    without one. It is changed in place only, so writing a row back into it restores that job.
    """

    def __init__(self, rules: Sequence[ClippingRule]) -> None:
        self._rules = rules
        self.state = {name: rows for rule in rules for name, rows in rule.state.items()}

    def clip(
        self, gradients_KP: Tensor, parameters_KP: Tensor, active_K: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Clip every job's gradient in place, each by its own rule.

        A gradient that is not finite is left as it is and its norm is not finite either: refusing
        the update is the caller's part. No such norm is ever remembered. No job's numbers depend
        on another's.

        Args:
            gradients_KP: one row a job, float32 or float64.
            parameters_KP: the weights before the update; read only.
            active_K: bool, on the same device; the gradient and the memory of the other jobs stay
                as they are, bit for bit. None is all jobs.

        Returns:
            norm_K: L2 norm of the whole gradient before clipping, float64 and summed in float64: a
                finite float32 gradient always has a finite norm. (float64 gradients overflow from
                1e154 on.)
            coef_K: norm after over norm before, float64, in (0, 1]; exactly 1 if nothing was cut.
        """
        norm_K = gradient_norm(gradients_KP)
        if not self._rules:
            return norm_K, torch.ones_like(norm_K)
        sound_K = norm_K.isfinite() if active_K is None else norm_K.isfinite() & active_K
        first, *others = self._rules
        coef_K = first.clip_(gradients_KP, parameters_KP, norm_K, sound_K)
        for rule in others:
            # A job has one rule, and the others answer 1 for it.
            coef_K = coef_K * rule.clip_(gradients_KP, parameters_KP, norm_K, sound_K)
        return norm_K, coef_K


def make_clipping(
    clippings: Sequence[Clipping | None], layout: ParameterLayout, device: torch.device
) -> PackClipping:
    """The clipping of a pack.

    Args:
        clippings: one a job; None leaves that job's gradient alone.
        layout: of the buffers that `clip` will be given.
        device: of the same buffers.
    """
    kinds = {type(clipping) for clipping in clippings}
    rules: list[ClippingRule] = []
    if NormClipping in kinds:
        rules.append(ByNorm(clippings, device))
    if ValueClipping in kinds:
        rules.append(ByValue(clippings, device))
    if UnitClipping in kinds:
        rules.append(ByUnit(clippings, layout, device))
    if PercentileClipping in kinds:
        rules.append(ByPercentile(clippings, device))
    if ZScoreClipping in kinds:
        rules.append(ByZScore(clippings, device))
    return PackClipping(rules)
