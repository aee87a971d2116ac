"""The two losses with their gradients, per job and per sequence.

Shapes: K jobs of a pack, B sequences, O outputs.
"""

from typing import Literal

import torch
from torch import Tensor

LossKind = Literal["cross_entropy", "squared_error"]


def loss_of_sequences(kind: LossKind, prediction_KBO: Tensor, target: Tensor) -> Tensor:
    """Loss of each sequence, (K, B): nats, or the mean over O of the squared error.

    Args:
        kind: cross_entropy is -log softmax(prediction)[target].
        prediction_KBO: logits, or predicted values.
        target: (K, B) int64 class numbers, or (K, B, O) values.
    """
    if kind == "cross_entropy":
        log_probability_KBO = prediction_KBO.log_softmax(dim=2)
        return -log_probability_KBO.gather(2, target.unsqueeze(2)).squeeze(2)
    return (prediction_KBO - target).square().mean(dim=2)


def loss_gradient(kind: LossKind, prediction_KBO: Tensor, target: Tensor) -> Tensor:
    """Gradient by the prediction of the mean over B of `loss_of_sequences`: (K, B, O)."""
    _, sequences, outputs = prediction_KBO.shape
    if kind == "cross_entropy":
        gradient_KBO = prediction_KBO.softmax(dim=2)
        index_KB1 = target.unsqueeze(2)
        gradient_KBO.scatter_add_(2, index_KB1, gradient_KBO.new_full(index_KB1.shape, -1.0))
        return gradient_KBO.div_(sequences)
    return (prediction_KBO - target).mul_(2 / (sequences * outputs))


def correct_answers(prediction_KBO: Tensor, target_KB: Tensor) -> Tensor:
    """Whether the most likely class is the target, (K, B) bool."""
    return torch.eq(prediction_KBO.argmax(dim=2), target_KB)
