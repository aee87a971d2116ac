"""Which cells make up the network that a job spec describes."""

from collections.abc import Sequence

import torch

from contract.spec import JobSpec
from worker.cells.bidirectional import Bidirectional
from worker.cells.cell import RecurrentCell
from worker.cells.gru.cpu import GruCpu
from worker.cells.gru.reference import GruReference
from worker.cells.lru.reference import LruReference
from worker.cells.lstm.cpu import LstmCpu
from worker.cells.lstm.reference import LstmReference
from worker.cells.min_gru.reference import MinGruGates
from worker.cells.min_lstm.reference import MinLstmGates
from worker.cells.minimal import MinimalReference
from worker.cells.rnn.cpu import RnnCpu
from worker.cells.rnn.reference import RnnReference
from worker.remedies.activations import make_nonlinearity


def make_layers(
    specs: Sequence[JobSpec], device: torch.device, dtype: torch.dtype, target_steps: int = 1
) -> tuple[RecurrentCell, ...]:
    """The layers of a pack, from the input up.

    Args:
        specs: one a job; equal in all that decides shapes and operations.
        device: of the tensors the layers will be given.
        dtype: of the same tensors.
        target_steps: S, after how many of the last time steps an answer is due.
    """
    cell = _make_cell(specs, device, dtype)
    if specs[0].cell.bidirectional:
        cell = Bidirectional(cell, reads_ends=target_steps == 1)
    return (cell,) * specs[0].cell.num_layers


def _make_cell(specs: Sequence[JobSpec], device: torch.device, dtype: torch.dtype) -> RecurrentCell:
    has_kernel = device.type == "cpu" and dtype == torch.float32
    match specs[0].cell.kind:
        case "rnn":
            activations = [spec.remedy.activation for spec in specs]
            nonlinearity = make_nonlinearity(activations, device, dtype)
            return RnnCpu(nonlinearity) if has_kernel else RnnReference(nonlinearity)
        case "gru":
            return GruCpu() if has_kernel else GruReference()
        case "lstm":
            return LstmCpu() if has_kernel else LstmReference()
        case "min_gru":
            return MinimalReference(MinGruGates())
        case "min_lstm":
            return MinimalReference(MinLstmGates())
        case "lru":
            return LruReference()
