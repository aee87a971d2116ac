"""The network: stacked recurrent layers and a linear readout of the last time steps.

Shapes: K jobs of a pack, P parameters of one job, L layers, T time steps, S of them with a target,
B sequences, N sequences of a held-out set, I inputs, H hidden units, O outputs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worker.cells.cell import LayerPass, RecurrentCell, State
from worker.datasets.task import Batch
from worker.training.losses import LossKind, correct_answers, loss_of_targets
from worker.training.parameters import NetworkParameters
from worker.training.readout import read_out

_MOST_SEQUENCES = 256
# Numbers of h in one evaluated chunk; a layer's forward pass keeps up to eight times as many.
_MOST_STATES = 2**24


@dataclass(frozen=True)
class NetworkPass:
    """A forward pass over all layers; it can be taken back once."""

    layers: tuple[LayerPass, ...]
    masks: Sequence[Tensor]
    """See `Model.forward`."""

    @property
    def final_states(self) -> list[State]:
        """What each layer hands on after the last time step."""
        return [layer.final_state for layer in self.layers]

    def answers(self, count: int) -> Tensor:
        """The top layer's states that are read out, (K, S, B, H)."""
        return self.layers[-1].answers(count)


@dataclass(frozen=True)
class Model:
    """A network without its parameters."""

    layers: tuple[RecurrentCell, ...]
    """From the input up."""
    loss: LossKind
    target_steps: int
    """S: an answer is due after each of the last S time steps."""

    def forward(
        self,
        x_KTBI: Tensor,
        parameters: NetworkParameters,
        initial: Sequence[State] | None = None,
        masks: Sequence[Tensor] = (),
    ) -> NetworkPass:
        """Run all layers over the sequences.

        Args:
            x_KTBI: inputs.
            parameters: with the pack axis.
            initial: each layer's state before the first step; None is 0.
            masks: of each layer but the top one, (K, T, B, H), what its output is multiplied by
                before the next layer reads it; none without dropout.
        """
        passes: list[LayerPass] = []
        below_KTBI = x_KTBI
        for index, (cell, layer) in enumerate(zip(self.layers, parameters.layers, strict=True)):
            passes.append(cell.forward(below_KTBI, layer, initial[index] if initial else None))
            below_KTBI = passes[-1].h_KTBH
            if index < len(masks):
                below_KTBI = below_KTBI * masks[index]
        return NetworkPass(tuple(passes), masks)

    def evaluate(self, parameters: NetworkParameters, batch: Batch) -> tuple[float, float | None]:
        """Judge one job on held-out sequences.

        Args:
            parameters: with K = 1.
            batch: any number of sequences; at most 256 are looked at at a time.

        Returns:
            The mean loss, and for cross entropy the accuracy in [0, 1].
        """
        losses: list[Tensor] = []
        correct: list[Tensor] = []
        for x_1TNI, target in self._chunks(parameters, batch):
            prediction_1SNO = self._predict(x_1TNI, parameters)
            losses.append(loss_of_targets(self.loss, prediction_1SNO, target))
            if self.loss == "cross_entropy":
                correct.append(correct_answers(prediction_1SNO, target))
        mean_loss = float(torch.cat(losses, dim=2).double().mean())
        return mean_loss, float(torch.cat(correct, dim=2).double().mean()) if correct else None

    def _predict(self, x_KTBI: Tensor, parameters: NetworkParameters) -> Tensor:
        """The prediction alone: only one layer's states are held at a time."""
        layers = list(zip(self.layers, parameters.layers, strict=True))
        below_KTBI = x_KTBI
        for cell, layer in layers[:-1]:
            below_KTBI = cell.forward(below_KTBI, layer).h_KTBH
        top, layer = layers[-1]
        return read_out(top.forward(below_KTBI, layer).answers(self.target_steps), parameters)

    def _chunks(
        self, parameters: NetworkParameters, batch: Batch
    ) -> Iterator[tuple[Tensor, Tensor]]:
        sequences, time_steps, _ = batch.x_NTI.shape
        widest = max(parameters.weight.shape[1:])
        size = max(1, min(_MOST_SEQUENCES, _MOST_STATES // (time_steps * widest)))
        for start in range(0, sequences, size):
            part = slice(start, start + size)
            chunk = Batch(batch.x_NTI[part], batch.target[part])
            yield stack_batches([chunk], parameters.weight.device, parameters.weight.dtype)


def stack_batches(
    batches: list[Batch], device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Stack one batch a job, time before sequences.

    Returns:
        x_KTBI in `dtype`, and the target: (K, S, B) int64 classes, or (K, S, B, O) values in
        `dtype`. In memory x has its sequences last, as the kernels on the CPU want it.
    """
    sequences, time_steps, inputs = batches[0].x_NTI.shape
    x_KTIB = np.empty((len(batches), time_steps, inputs, sequences), np.float32)
    for x_TIB, batch in zip(x_KTIB, batches, strict=True):
        x_TIB[:] = batch.x_NTI.transpose(1, 2, 0)
    target = torch.from_numpy(np.stack([batch.target.swapaxes(0, 1) for batch in batches]))
    if target.is_floating_point():
        target = target.to(dtype)
    return torch.from_numpy(x_KTIB).to(device, dtype).transpose(2, 3), target.to(device)
