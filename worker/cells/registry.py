"""Which cells make up the network that a job spec describes."""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from contract.spec import DilatedSkip, JobSpec, LearnedSkip, ResidualSkip
from worker.cells.cell import RecurrentCell
from worker.cells.dilated import DilatedCell
from worker.cells.gru.reference import GruReference
from worker.cells.lstm.reference import LstmReference
from worker.cells.residual import ResidualCell
from worker.cells.rnn.reference import RnnReference
from worker.cells.skipping import SkippingCell
from worker.cells.unrolled import UnrolledCell
from worker.remedies.activations import make_nonlinearity


def make_layers(
    specs: Sequence[JobSpec], device: torch.device, dtype: torch.dtype
) -> tuple[RecurrentCell, ...]:
    """The layers of a pack, from the input up.

    Args:
        specs: one a job; equal in all that decides shapes and operations.
        device: of the tensors the layers will be given.
        dtype: of the same tensors.
    """
    layers = range(specs[0].cell.num_layers)
    return tuple(_make_layer(specs, layer, device, dtype) for layer in layers)


def _make_layer(
    specs: Sequence[JobSpec], layer: int, device: torch.device, dtype: torch.dtype
) -> RecurrentCell:
    """A layer's cell with the skip over time that the remedy asks for."""
    cell = _make_cell(specs, device, dtype)
    match specs[0].remedy.skip:
        case LearnedSkip():
            return SkippingCell(cell, _costs(specs, device, dtype))
        case ResidualSkip(lag=lag):
            return ResidualCell(cell, lag)
        case DilatedSkip(base=base):
            return _make_dilated(specs, base**layer, device, dtype)
        case _:
            return cell


def _make_dilated(
    specs: Sequence[JobSpec], dilation: int, device: torch.device, dtype: torch.dtype
) -> RecurrentCell:
    @cache
    def make_cell(times: int) -> RecurrentCell:
        return _make_cell([spec for spec in specs for _ in range(times)], device, dtype)

    return DilatedCell(make_cell, dilation)


def _costs(specs: Sequence[JobSpec], device: torch.device, dtype: torch.dtype) -> Tensor:
    skips = [spec.remedy.skip for spec in specs]
    costs = [skip.cost for skip in skips if isinstance(skip, LearnedSkip)]
    return torch.tensor(costs, device=device, dtype=dtype).view(-1, 1, 1)


def _make_cell(specs: Sequence[JobSpec], device: torch.device, dtype: torch.dtype) -> UnrolledCell:
    match specs[0].cell.kind:
        case "rnn":
            activations = [spec.remedy.activation for spec in specs]
            return RnnReference(make_nonlinearity(activations, device, dtype))
        case "gru":
            return GruReference()
        case "lstm":
            return LstmReference()
