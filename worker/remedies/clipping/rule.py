"""What every clipping rule is: it bounds some rows of the gradient and leaves the others alone.

Shapes: K jobs of a pack, P parameters of one job.

A rule is one for the whole pack: jobs under another rule have a limit that is never reached. Only
elementwise IEEE-exact operations and reductions by row are used, so a job's bits are the same in
whatever pack it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from worker.training.norms import row_norm


class ClippingRule(ABC):
    """One way of clipping, for those jobs of a pack that asked for it.

    `state` holds what is remembered between steps, by name: (K, ...) tensors, row k being job k's,
    changed in place only. A rule without a memory has none.
    """

    def __init__(self) -> None:
        self.state: dict[str, Tensor] = {}

    @abstractmethod
    def clip_(
        self, gradients_KP: Tensor, parameters_KP: Tensor, norm_K: Tensor, sound_K: Tensor
    ) -> Tensor:
        """Clip in place.

        Args:
            gradients_KP: one row a job.
            parameters_KP: the weights of the same jobs; read only.
            norm_K: float64 norms of the rows of the gradient.
            sound_K: bool; the rows that may be changed and whose norms may be remembered. Their
                norms are finite.

        Returns:
            (K,) float64 norm after over norm before; exactly 1 where nothing was cut.
        """


def gradient_norm(gradients_KP: Tensor) -> Tensor:
    """(K,) L2 norms, summed in float64: squares of float32 entries above 1.8e19 overflow there."""
    return row_norm(gradients_KP)


def scale_(gradients_KP: Tensor, coef_K: Tensor) -> None:
    """Multiply each row by its coefficient; a row whose coefficient is 1 keeps its bits."""
    gradients_KP.mul_(coef_K.to(gradients_KP.dtype).unsqueeze(1))


def column(values: Sequence[float], device: torch.device) -> Tensor:
    """(K,) float64: one number of the spec by job, made once when the pack is."""
    return torch.tensor(values, dtype=torch.float64, device=device)


def coefficient(norm_K: Tensor, limit_K: Tensor) -> Tensor:
    """(K,) limit over norm where the norm is larger, else 1.

    For limits that are taken from norms seen before. No guard is added to the norm, unlike torch's
    1e-6: where the gradient vanishes the norms themselves are that small. A limit of 0, which a
    history of zeros gives, would stop the training for good and cuts nothing instead.
    """
    return torch.where((limit_K > 0) & (limit_K < norm_K), limit_K / norm_K, 1.0)
