"""Which cell has kernels for the GPU; Triton is loaded when one is chosen, and not before."""

from collections.abc import Callable, Sequence

import torch

from contract.spec import JobSpec
from worker.cells.cell import RecurrentCell
from worker.remedies.activations import make_nonlinearity

# Those that the RNN's kernels know.
_ACTIVATIONS = {"tanh", "relu", "leaky_relu"}


def make_gpu_cell(
    specs: Sequence[JobSpec], device: torch.device, on_chip_bytes: int
) -> RecurrentCell | None:
    """A pack's cell as kernels in float32; None if it has none, or has no room on the chip.

    Args:
        specs: one a job, as for `make_layers`.
        device: of the tensors the cell will be given.
        on_chip_bytes: shared memory that the GPU gives to one program.
    """
    make = _MAKERS.get(specs[0].cell.kind)
    return make(specs, device, on_chip_bytes) if make else None


def _make_rnn(
    specs: Sequence[JobSpec], device: torch.device, on_chip_bytes: int
) -> RecurrentCell | None:
    from worker.cells.rnn.gpu import RnnGpu, fits

    activations = [spec.remedy.activation for spec in specs]
    has_form = {activation.kind for activation in activations if activation} <= _ACTIVATIONS
    if not has_form or not fits(specs[0].cell.hidden_size, on_chip_bytes):
        return None
    return RnnGpu(make_nonlinearity(activations, device, torch.float32), device)


def _make_gru(
    specs: Sequence[JobSpec], _device: torch.device, on_chip_bytes: int
) -> RecurrentCell | None:
    from worker.cells.gru.gpu import GruGpu, fits

    return GruGpu() if fits(specs[0].cell.hidden_size, on_chip_bytes) else None


def _make_lstm(
    specs: Sequence[JobSpec], _device: torch.device, on_chip_bytes: int
) -> RecurrentCell | None:
    from worker.cells.lstm.gpu import LstmGpu, fits

    return LstmGpu() if fits(specs[0].cell.hidden_size, on_chip_bytes) else None


_Maker = Callable[[Sequence[JobSpec], torch.device, int], RecurrentCell | None]

_MAKERS: dict[str, _Maker] = {"rnn": _make_rnn, "gru": _make_gru, "lstm": _make_lstm}
