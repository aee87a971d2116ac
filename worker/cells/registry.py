"""Which cells make up the network that a job spec describes."""

from collections.abc import Sequence

import torch

from contract.spec import JobSpec
from worker.cells.cell import RecurrentCell
from worker.cells.gpu_choice import make_gpu_cell
from worker.cells.gru.cpu import GruCpu
from worker.cells.gru.reference import GruReference
from worker.cells.lstm.cpu import LstmCpu
from worker.cells.lstm.reference import LstmReference
from worker.cells.rnn.cpu import RnnCpu
from worker.cells.rnn.reference import RnnReference
from worker.remedies.activations import make_nonlinearity


def make_layers(
    specs: Sequence[JobSpec],
    device: torch.device,
    dtype: torch.dtype,
    *,
    gpu_kernels: bool = False,
) -> tuple[RecurrentCell, ...]:
    """The layers of a pack, from the input up.

    Args:
        specs: one a job; equal in all that decides shapes and operations.
        device: of the tensors the layers will be given.
        dtype: of the same tensors.
        gpu_kernels: whether a GPU's kernels are used where there are some.
    """
    cell = _make_gpu_cell(specs, device, dtype) if gpu_kernels else None
    return (cell or _make_cell(specs, device, dtype),) * specs[0].cell.num_layers


def _make_gpu_cell(
    specs: Sequence[JobSpec], device: torch.device, dtype: torch.dtype
) -> RecurrentCell | None:
    if device.type != "cuda" or dtype != torch.float32:
        return None
    properties = torch.cuda.get_device_properties(device)
    on_chip_bytes: int = properties.shared_memory_per_block_optin  # type: ignore[attr-defined]
    return make_gpu_cell(specs, device, on_chip_bytes)


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
