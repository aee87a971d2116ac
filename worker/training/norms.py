"""Norms of the rows of a buffer, in float64; a row's norm does not depend on the other rows.

Shapes: K jobs of a pack, P parameters of one job.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worker.cells.compiled import compiled


def row_norm(rows_KP: Tensor) -> Tensor:
    """L2 norm of each row, (K,) float64.

    It is summed in float64, as the squares of float32 entries above 1.8e19 overflow float32:
    a finite float32 row always has a finite norm.
    """
    if rows_KP.device.type == "cpu" and rows_KP.dtype == torch.float32:
        return torch.from_numpy(_row_norms(rows_KP.numpy()))
    norm_K: Tensor = torch.linalg.vector_norm(rows_KP, dim=1, dtype=torch.float64)
    return norm_K


def update_norms(after_KP: Tensor, before_KP: Tensor) -> Tensor:
    """Norms of each row after an update and before it, and of their difference: (3, K) float64."""
    if after_KP.device.type == "cpu" and after_KP.dtype == torch.float32:
        return torch.from_numpy(_update_norms(after_KP.numpy(), before_KP.numpy()))
    return torch.stack([row_norm(rows) for rows in (after_KP, before_KP, after_KP - before_KP)])


@compiled
def _row_norms(rows_KP: NDArray[np.float32]) -> NDArray[np.float64]:
    norm_K = np.empty(rows_KP.shape[0])
    for row in range(rows_KP.shape[0]):
        total = 0.0
        for at in range(rows_KP.shape[1]):
            value = np.float64(rows_KP[row, at])
            total += value * value
        norm_K[row] = np.sqrt(total)
    return norm_K


@compiled
def _update_norms(
    after_KP: NDArray[np.float32], before_KP: NDArray[np.float32]
) -> NDArray[np.float64]:
    norm_3K = np.empty((3, after_KP.shape[0]))
    for row in range(after_KP.shape[0]):
        after, before, difference = 0.0, 0.0, 0.0
        for at in range(after_KP.shape[1]):
            new, old = np.float64(after_KP[row, at]), np.float64(before_KP[row, at])
            after += new * new
            before += old * old
            difference += (new - old) * (new - old)
        norm_3K[0, row] = np.sqrt(after)
        norm_3K[1, row] = np.sqrt(before)
        norm_3K[2, row] = np.sqrt(difference)
    return norm_3K
