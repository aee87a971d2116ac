"""The network: stacked recurrent layers and a linear readout of the last time step.

Shapes: K jobs of a pack, P parameters of one job, T time steps, B sequences, N sequences of a
held-out set, I inputs, H hidden units, O outputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worker.cells.cell import LayerBackward, LayerPass, RecurrentCell
from worker.datasets.task import Batch
from worker.training.losses import LossKind, correct_answers, loss_gradient, loss_of_sequences
from worker.training.parameters import NetworkParameters

_MOST_SEQUENCES = 256
# Numbers of h in one evaluated chunk; a layer's forward pass keeps up to eight times as many.
_MOST_STATES = 2**24


@dataclass(frozen=True)
class NetworkPass:
    """A forward pass over all layers; it can be taken back once."""

    layers: tuple[LayerPass, ...]
    prediction_KBO: Tensor


@dataclass(frozen=True)
class Model:
    """A network without its parameters."""

    cell: RecurrentCell
    loss: LossKind

    def forward(self, x_KTBI: Tensor, parameters: NetworkParameters) -> NetworkPass:
        """Predict from the sequences: y = W h_T + b, h_T the top layer's last state."""
        passes: list[LayerPass] = []
        below_KTBI = x_KTBI
        for layer in parameters.layers:
            passes.append(self.cell.forward(below_KTBI, layer))
            below_KTBI = passes[-1].h_KTBH
        return NetworkPass(tuple(passes), _readout(below_KTBI, parameters))

    def losses(self, prediction_KBO: Tensor, target: Tensor) -> Tensor:
        """(K,) mean loss over the batch: nats, or squared error."""
        return loss_of_sequences(self.loss, prediction_KBO, target).mean(dim=1)

    def backward(
        self,
        forward: NetworkPass,
        target: Tensor,
        parameters: NetworkParameters,
        gradients: NetworkParameters,
    ) -> list[LayerBackward]:
        """Fill the gradients of the mean loss; returns what came back through each layer."""
        grad_y_KBO = loss_gradient(self.loss, forward.prediction_KBO, target)
        top_KTBH = forward.layers[-1].h_KTBH
        gradients.weight.copy_(torch.bmm(grad_y_KBO.transpose(1, 2), top_KTBH[:, -1]))
        gradients.bias.copy_(grad_y_KBO.sum(dim=1))
        grad_h_KTBH = torch.zeros_like(top_KTBH)
        grad_h_KTBH[:, -1] = torch.bmm(grad_y_KBO, parameters.weight)
        backwards: list[LayerBackward] = []
        for index in reversed(range(len(forward.layers))):
            back = forward.layers[index].backward(
                grad_h_KTBH, gradients.layers[index], needs_grad_x=index > 0
            )
            backwards.append(back)
            if back.grad_x_KTBI is not None:
                grad_h_KTBH = back.grad_x_KTBI
        return backwards[::-1]

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
            prediction_1NO = self._predict(x_1TNI, parameters)
            losses.append(loss_of_sequences(self.loss, prediction_1NO, target))
            if self.loss == "cross_entropy":
                correct.append(correct_answers(prediction_1NO, target))
        mean_loss = float(torch.cat(losses, dim=1).double().mean())
        return mean_loss, float(torch.cat(correct, dim=1).double().mean()) if correct else None

    def _predict(self, x_KTBI: Tensor, parameters: NetworkParameters) -> Tensor:
        """The prediction alone: only one layer's states are held at a time."""
        below_KTBI = x_KTBI
        for layer in parameters.layers:
            below_KTBI = self.cell.forward(below_KTBI, layer).h_KTBH
        return _readout(below_KTBI, parameters)

    def _chunks(
        self, parameters: NetworkParameters, batch: Batch
    ) -> Iterator[tuple[Tensor, Tensor]]:
        sequences, time_steps, _ = batch.x_NTI.shape
        states = time_steps * parameters.weight.shape[2]
        size = max(1, min(_MOST_SEQUENCES, _MOST_STATES // states))
        for start in range(0, sequences, size):
            part = slice(start, start + size)
            chunk = Batch(batch.x_NTI[part], batch.target[part])
            yield stack_batches([chunk], parameters.weight.device, parameters.weight.dtype)


def stack_batches(
    batches: list[Batch], device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Stack one batch a job, time before sequences.

    Returns:
        x_KTBI in `dtype`, and the target: (K, B) int64 classes, or (K, B, O) values in `dtype`.
    """
    x_KTBI = torch.from_numpy(np.stack([batch.x_NTI.swapaxes(0, 1) for batch in batches]))
    target = torch.from_numpy(np.stack([batch.target for batch in batches]))
    if target.is_floating_point():
        target = target.to(dtype)
    return x_KTBI.to(device, dtype).contiguous(), target.to(device)


def _readout(h_KTBH: Tensor, parameters: NetworkParameters) -> Tensor:
    last_KBH, weight_KHO = h_KTBH[:, -1], parameters.weight.transpose(1, 2)
    return torch.baddbmm(parameters.bias.unsqueeze(1), last_KBH, weight_KHO)
