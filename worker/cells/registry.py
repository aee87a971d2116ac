"""Which cells make up the network that a job spec describes."""

from collections.abc import Sequence
from functools import cache

import torch

from contract.spec import DilatedSkip, JobSpec, ResidualSkip
from worker.cells.cell import RecurrentCell
from worker.cells.dilated import DilatedCell
from worker.cells.gru.reference import GruReference
from worker.cells.lstm.reference import LstmReference
from worker.cells.residual import ResidualCell
from worker.cells.rnn.reference import RnnReference
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
    match specs[0].remedy.skip:
        case ResidualSkip(lag=lag):
            return ResidualCell(_make_cell(specs, device, dtype), lag)
        case DilatedSkip(base=base):
            return _make_dilated(specs, base**layer, device, dtype)
        case _:
            return _make_cell(specs, device, dtype)


def _make_dilated(
    specs: Sequence[JobSpec], dilation: int, device: torch.device, dtype: torch.dtype
) -> RecurrentCell:
    @cache
    def make_cell(times: int) -> RecurrentCell:
        return _make_cell([spec for spec in specs for _ in range(times)], device, dtype)

    return DilatedCell(make_cell, dilation)


def _make_cell(specs: Sequence[JobSpec], device: torch.device, dtype: torch.dtype) -> RecurrentCell:
    match specs[0].cell.kind:
        case "rnn":
            activations = [spec.remedy.activation for spec in specs]
            return RnnReference(make_nonlinearity(activations, device, dtype))
        case "gru":
            return GruReference()
        case "lstm":
            return LstmReference()
