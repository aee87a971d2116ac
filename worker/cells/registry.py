"""Which cells make up the network that a job spec describes."""

from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import torch

from contract.spec import DilatedSkip, JobSpec, LearnedSkip, ResidualSkip
from worker.cells.bidirectional import Bidirectional
from worker.cells.cell import RecurrentCell
from worker.cells.dilated import DilatedCell
from worker.cells.gru.cpu import GruCpu
from worker.cells.gru.reference import GruReference
from worker.cells.job_by_job import JobByJob
from worker.cells.lru.reference import LruReference
from worker.cells.lstm.cpu import LstmCpu
from worker.cells.lstm.reference import LstmReference
from worker.cells.min_gru.reference import MinGruGates
from worker.cells.min_lstm.reference import MinLstmGates
from worker.cells.minimal import MinimalReference
from worker.cells.residual import ResidualCell
from worker.cells.rnn.cpu import RnnCpu
from worker.cells.rnn.reference import RnnReference
from worker.cells.skipping import SkippingCell
from worker.cells.skipping_cpu import SkippingCpu
from worker.cells.unrolled import UnrolledCell
from worker.remedies.activations import Nonlinearity, make_nonlinearity


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
    cell = specs[0].cell
    cells = [_with_skip(specs, layer, device, dtype) for layer in range(cell.num_layers)]
    if cell.bidirectional:
        return tuple(Bidirectional(one, reads_ends=target_steps == 1) for one in cells)
    return tuple(cells)


def _with_skip(
    specs: Sequence[JobSpec], layer: int, device: torch.device, dtype: torch.dtype
) -> RecurrentCell:
    """A layer's cell with the skip over time that the remedy asks for."""
    match specs[0].remedy.skip:
        case LearnedSkip():
            return _make_skipping(specs, device, dtype)
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


def _make_skipping(
    specs: Sequence[JobSpec], device: torch.device, dtype: torch.dtype
) -> RecurrentCell:
    skips = [spec.remedy.skip for spec in specs]
    costs = [skip.cost for skip in skips if isinstance(skip, LearnedSkip)]
    if _has_kernels(device, dtype):
        nonlinearity = _nonlinearity(specs, device, dtype)
        return SkippingCpu(specs[0].cell.kind, nonlinearity, np.array(costs, np.float32))
    cost_K11 = torch.tensor(costs, device=device, dtype=dtype).view(-1, 1, 1)
    return SkippingCell(_make_unrolled(specs, device, dtype), cost_K11)


def _has_kernels(device: torch.device, dtype: torch.dtype) -> bool:
    return device.type == "cpu" and dtype == torch.float32


def _make_cell(specs: Sequence[JobSpec], device: torch.device, dtype: torch.dtype) -> RecurrentCell:
    """The kernel where there is one for the device and dtype, else the reference.

    Either way a job's bits on the CPU, in float32, are its own in whatever pack.
    """
    match specs[0].cell.kind:
        case "min_gru" | "min_lstm" | "lru" as kind:
            scanned = _make_scanned(kind)
            return JobByJob(scanned) if _has_kernels(device, dtype) else scanned
        case _ if _has_kernels(device, dtype):
            return _make_kernel(specs, device, dtype)
        case _:
            return _make_unrolled(specs, device, dtype)


def _make_scanned(kind: Literal["min_gru", "min_lstm", "lru"]) -> RecurrentCell:
    match kind:
        case "min_gru":
            return MinimalReference(MinGruGates())
        case "min_lstm":
            return MinimalReference(MinLstmGates())
        case "lru":
            return LruReference()


def _make_kernel(
    specs: Sequence[JobSpec], device: torch.device, dtype: torch.dtype
) -> RecurrentCell:
    match specs[0].cell.kind:
        case "rnn":
            return RnnCpu(_nonlinearity(specs, device, dtype))
        case "gru":
            return GruCpu()
        case _:
            return LstmCpu()


def _make_unrolled(
    specs: Sequence[JobSpec], device: torch.device, dtype: torch.dtype
) -> UnrolledCell:
    """The reference of a cell that goes step by step.

    Raises:
        ValueError: if the cell does not.
    """
    match specs[0].cell.kind:
        case "rnn":
            return RnnReference(_nonlinearity(specs, device, dtype))
        case "gru":
            return GruReference()
        case "lstm":
            return LstmReference()
        case kind:
            raise ValueError(f"cell {kind} does not go step by step")


def _nonlinearity(
    specs: Sequence[JobSpec], device: torch.device, dtype: torch.dtype
) -> Nonlinearity:
    return make_nonlinearity([spec.remedy.activation for spec in specs], device, dtype)
