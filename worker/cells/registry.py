"""Which cells make up the network that a job spec describes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch

from contract.spec import DilatedSkip, JobSpec, LearnedSkip, ResidualSkip
from worker.cells.bidirectional import Bidirectional
from worker.cells.cell import RecurrentCell
from worker.cells.dilated import DilatedCell
from worker.cells.gpu_choice import make_gpu_cell
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


@dataclass(frozen=True)
class _Place:
    """Where and how the layers compute."""

    device: torch.device
    dtype: torch.dtype
    gpu_kernels: bool

    @property
    def has_cpu_kernels(self) -> bool:
        return self.device.type == "cpu" and self.dtype == torch.float32

    @property
    def has_gpu_kernels(self) -> bool:
        return self.gpu_kernels and self.device.type == "cuda" and self.dtype == torch.float32


def make_layers(
    specs: Sequence[JobSpec],
    device: torch.device,
    dtype: torch.dtype,
    target_steps: int = 1,
    *,
    gpu_kernels: bool = False,
) -> tuple[RecurrentCell, ...]:
    """The layers of a pack, from the input up.

    Args:
        specs: one a job; equal in all that decides shapes and operations.
        device: of the tensors the layers will be given.
        dtype: of the same tensors.
        target_steps: S, after how many of the last time steps an answer is due.
        gpu_kernels: whether a GPU's kernels are used where there are some.
    """
    cell, place = specs[0].cell, _Place(device, dtype, gpu_kernels)
    cells = [_with_skip(specs, layer, place) for layer in range(cell.num_layers)]
    if cell.bidirectional:
        return tuple(Bidirectional(one, reads_ends=target_steps == 1) for one in cells)
    return tuple(cells)


def _with_skip(specs: Sequence[JobSpec], layer: int, place: _Place) -> RecurrentCell:
    """A layer's cell with the skip over time that the remedy asks for."""
    match specs[0].remedy.skip:
        case LearnedSkip():
            return _make_skipping(specs, place)
        case ResidualSkip(lag=lag):
            return ResidualCell(_make_cell(specs, place), lag)
        case DilatedSkip(base=base):
            return _make_dilated(specs, base**layer, place)
        case _:
            return _make_cell(specs, place)


def _make_dilated(specs: Sequence[JobSpec], dilation: int, place: _Place) -> RecurrentCell:
    @cache
    def make_cell(times: int) -> RecurrentCell:
        return _make_cell([spec for spec in specs for _ in range(times)], place)

    return DilatedCell(make_cell, dilation)


def _make_skipping(specs: Sequence[JobSpec], place: _Place) -> RecurrentCell:
    skips = [spec.remedy.skip for spec in specs]
    costs = [skip.cost for skip in skips if isinstance(skip, LearnedSkip)]
    if place.has_cpu_kernels:
        nonlinearity = _nonlinearity(specs, place)
        return SkippingCpu(specs[0].cell.kind, nonlinearity, np.array(costs, np.float32))
    cost_K11 = torch.tensor(costs, device=place.device, dtype=place.dtype).view(-1, 1, 1)
    return SkippingCell(_make_unrolled(specs, place), cost_K11)


def _make_cell(specs: Sequence[JobSpec], place: _Place) -> RecurrentCell:
    """The kernel where there is one for the device and dtype, else the reference.

    Either way a job's bits on the CPU, in float32, are its own in whatever pack.
    """
    match specs[0].cell.kind:
        case "min_gru" | "min_lstm" | "lru" as kind:
            scanned = _make_scanned(kind)
            return JobByJob(scanned) if place.has_cpu_kernels else scanned
        case _ if place.has_cpu_kernels:
            return _make_cpu_cell(specs, place)
        case _ if place.has_gpu_kernels:
            return _make_gpu_cell(specs, place) or _make_unrolled(specs, place)
        case _:
            return _make_unrolled(specs, place)


def _make_scanned(kind: Literal["min_gru", "min_lstm", "lru"]) -> RecurrentCell:
    match kind:
        case "min_gru":
            return MinimalReference(MinGruGates())
        case "min_lstm":
            return MinimalReference(MinLstmGates())
        case "lru":
            return LruReference()


def _make_cpu_cell(specs: Sequence[JobSpec], place: _Place) -> RecurrentCell:
    match specs[0].cell.kind:
        case "rnn":
            return RnnCpu(_nonlinearity(specs, place))
        case "gru":
            return GruCpu()
        case _:
            return LstmCpu()


def _make_gpu_cell(specs: Sequence[JobSpec], place: _Place) -> RecurrentCell | None:
    """None if the GPU has no room for the cell's kernels."""
    properties = torch.cuda.get_device_properties(place.device)
    on_chip_bytes: int = properties.shared_memory_per_block_optin  # type: ignore[attr-defined]
    return make_gpu_cell(specs, place.device, on_chip_bytes)


def _make_unrolled(specs: Sequence[JobSpec], place: _Place) -> UnrolledCell:
    """The reference of a cell that goes step by step.

    Raises:
        ValueError: if the cell does not.
    """
    match specs[0].cell.kind:
        case "rnn":
            return RnnReference(_nonlinearity(specs, place))
        case "gru":
            return GruReference()
        case "lstm":
            return LstmReference()
        case kind:
            raise ValueError(f"cell {kind} does not go step by step")


def _nonlinearity(specs: Sequence[JobSpec], place: _Place) -> Nonlinearity:
    return make_nonlinearity([spec.remedy.activation for spec in specs], place.device, place.dtype)
