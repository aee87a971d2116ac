"""The two losses with their gradients, per job, target and sequence.

Shapes: K jobs of a pack, S targets of a sequence, B sequences, O outputs.
"""

from typing import Literal

import torch
from torch import Tensor

LossKind = Literal["cross_entropy", "squared_error"]


def loss_of_targets(kind: LossKind, prediction_KSBO: Tensor, target: Tensor) -> Tensor:
    """Loss of each target, (K, S, B): nats, or the mean over O of the squared error.

    Args:
        kind: cross_entropy is -log softmax(prediction)[target].
        prediction_KSBO: logits, or predicted values.
        target: (K, S, B) int64 class numbers, or (K, S, B, O) values.
    """
    if kind == "cross_entropy":
        log_probability_KSBO = prediction_KSBO.log_softmax(dim=3)
        return -log_probability_KSBO.gather(3, target.unsqueeze(3)).squeeze(3)
    return (prediction_KSBO - target).square().mean(dim=3)


def loss_gradient(
    kind: LossKind, prediction_KSBO: Tensor, target: Tensor, num_targets: int
) -> Tensor:
    """Gradient by the prediction of the sum of `loss_of_targets` over `num_targets`: (K,S,B,O).

    Args:
        kind: as in `loss_of_targets`.
        prediction_KSBO: the same.
        target: the same.
        num_targets: of all sequences of the batch; more than S * B if these are a part of them.
    """
    if kind == "cross_entropy":
        gradient_KSBO = prediction_KSBO.softmax(dim=3)
        index_KSB1 = target.unsqueeze(3)
        gradient_KSBO.scatter_add_(3, index_KSB1, gradient_KSBO.new_full(index_KSB1.shape, -1.0))
        return gradient_KSBO.div_(num_targets)
    outputs = prediction_KSBO.shape[3]
    return (prediction_KSBO - target).mul_(2 / (num_targets * outputs))


def correct_answers(prediction_KSBO: Tensor, target_KSB: Tensor) -> Tensor:
    """Whether the most likely class is the target, (K, S, B) bool."""
    return torch.eq(prediction_KSBO.argmax(dim=3), target_KSB)
