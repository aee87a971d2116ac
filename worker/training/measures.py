"""What is measured of the weights at a flow step.

Shapes: K jobs of a pack, G gates, H hidden units.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from worker.training.parameters import LayerParameters, NetworkParameters, directions, of_job

# W is squared this often: the radius is read off the norm of W^65536.
_SQUARINGS = 16


def spectral_radius(parameters: NetworkParameters) -> Tensor:
    """Largest |eigenvalue| of W_hh over layers, directions and gates' H x H blocks, (K,) float64.

    Of an LRU it is the largest |Lambda|; nan for a cell without recurrent weights. For W_hh it
    comes by Gelfand's formula, rho(W) = lim ||W^n||^(1/n) at n = 65536, from above: the error is a
    factor c^(1/n), c the condition of the eigenvectors; below 0.1 % even at c = 1e28. Unlike an
    eigenvalue solver it is a few products for all jobs at once, on any device; but on a CPU jobs
    come one after the other, for a batched product rounds by its size. nan where a weight is not
    finite.
    """
    layers = [direction for layer in parameters.layers for direction in directions(layer)]
    if parameters.weight.device.type != "cpu":
        return _largest_radius(layers)
    jobs = range(len(parameters.weight))
    return torch.cat([_largest_radius([of_job(layer, job) for layer in layers]) for job in jobs])


def _largest_radius(layers: Sequence[LayerParameters]) -> Tensor:
    """The largest of all layers', (K,)."""
    return torch.cat([_layer_radii(layer) for layer in layers], dim=1).amax(dim=1)


def _layer_radii(layer: LayerParameters) -> Tensor:
    """The spectral radii of one direction of one layer, (K, G)."""
    if "weight_hh" in layer:
        return _radius(_gate_blocks(layer["weight_hh"]))
    if "nu_log" in layer:
        return torch.exp(-layer["nu_log"].double().exp())
    without_KG = layer["weight_ih"][:, :1, 0].double()
    return torch.full_like(without_KG, torch.nan)


def _gate_blocks(weight_KNH: Tensor) -> Tensor:
    """(K, G, H, H) float64 of (K, G*H, H)."""
    jobs, _, size = weight_KNH.shape
    return weight_KNH.reshape(jobs, -1, size, size).double()


def _radius(matrix_KGHH: Tensor) -> Tensor:
    """Spectral radius of each matrix, (K, G), from the logarithm of the norm of its powers."""
    log_norm_KG = torch.zeros_like(matrix_KGHH[..., 0, 0])
    for _ in range(_SQUARINGS):
        matrix_KGHH, log_norm_KG = _normalised(matrix_KGHH, log_norm_KG)
        matrix_KGHH = torch.matmul(matrix_KGHH, matrix_KGHH)
        log_norm_KG = 2 * log_norm_KG
    _, log_norm_KG = _normalised(matrix_KGHH, log_norm_KG)
    return torch.exp(log_norm_KG / 2**_SQUARINGS)


def _normalised(matrix_KGHH: Tensor, log_norm_KG: Tensor) -> tuple[Tensor, Tensor]:
    """Divide by the norm, so that no power can overflow, and add its logarithm."""
    norm_KG: Tensor = torch.linalg.matrix_norm(matrix_KGHH)
    # The power of a nilpotent matrix is 0: its logarithm is -inf, and it must not become 0/0.
    divisor_KG = torch.where(norm_KG == 0, 1.0, norm_KG)
    return matrix_KGHH / divisor_KG[..., None, None], log_norm_KG + norm_KG.log()
