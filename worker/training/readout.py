"""The linear readout of the top layer's states, with its loss, forward and back.

Shapes: K jobs of a pack, S targets of a sequence, B sequences, H features of the top layer,
O outputs.
"""

import torch
from torch import Tensor

from worker.training.losses import LossKind, loss_gradient, loss_of_targets
from worker.training.parameters import NetworkParameters
from worker.training.readout_kernels import learn_rows


def read_out(h_KSBH: Tensor, parameters: NetworkParameters) -> Tensor:
    """The predictions W h + b, (K, S, B, O); S may be 0."""
    prediction_KNO = torch.baddbmm(
        parameters.bias.unsqueeze(1), h_KSBH.flatten(1, 2), parameters.weight.transpose(1, 2)
    )
    return prediction_KNO.view(*h_KSBH.shape[:3], parameters.bias.shape[1])


def learn_readout(  # noqa: PLR0913, PLR0917 - what a loss depends on, and where it goes
    kind: LossKind,
    h_KSBH: Tensor,
    target: Tensor,
    parameters: NetworkParameters,
    gradients: NetworkParameters,
    num_targets: int,
) -> tuple[Tensor, Tensor]:
    """Judge the predictions and go back through the readout.

    Args:
        kind: see `loss_of_targets`.
        h_KSBH: the states that are read.
        target: (K, S, B) classes, or (K, S, B, O) values.
        parameters: their readout is used.
        gradients: their readout is overwritten.
        num_targets: of the whole batch; S * B unless these are a part of it.

    Returns:
        The sum of the losses over `num_targets`, (K,), and its gradient by h, (K, S, B, H).
    """
    if h_KSBH.device.type == "cpu" and h_KSBH.dtype == torch.float32:
        return _learn_by_kernel(h_KSBH, target, parameters, gradients, num_targets)
    prediction_KSBO = read_out(h_KSBH, parameters)
    loss_KSB = loss_of_targets(kind, prediction_KSBO, target)
    grad_y_KSBO = loss_gradient(kind, prediction_KSBO, target, num_targets)
    grad_y_KNO = grad_y_KSBO.flatten(1, 2)
    gradients.weight.copy_(torch.bmm(grad_y_KNO.transpose(1, 2), h_KSBH.flatten(1, 2)))
    gradients.bias.copy_(grad_y_KNO.sum(dim=1))
    grad_h_KSBH = torch.bmm(grad_y_KNO, parameters.weight).view(h_KSBH.shape)
    return loss_KSB.sum(dim=(1, 2)) / num_targets, grad_h_KSBH


def _learn_by_kernel(
    h_KSBH: Tensor,
    target: Tensor,
    parameters: NetworkParameters,
    gradients: NetworkParameters,
    num_targets: int,
) -> tuple[Tensor, Tensor]:
    values, classes = (target, _NO_CLASSES) if target.is_floating_point() else (_NO_VALUES, target)
    loss_K, grad_h_KSHB, grad_weight_KOH, grad_bias_KO = learn_rows(
        h_KSBH.transpose(2, 3).contiguous().numpy(),
        parameters.weight.contiguous().numpy(),
        parameters.bias.contiguous().numpy(),
        # Parts of a sequence are views; a kernel is compiled anew for each layout of its arrays.
        values.contiguous().numpy(),
        classes.contiguous().numpy(),
        num_targets,
    )
    gradients.weight.copy_(torch.from_numpy(grad_weight_KOH))
    gradients.bias.copy_(torch.from_numpy(grad_bias_KO))
    return torch.from_numpy(loss_K), torch.from_numpy(grad_h_KSHB).transpose(2, 3)


_NO_VALUES = torch.zeros(0, 0, 0, 0)
_NO_CLASSES = torch.zeros(0, 0, 0, dtype=torch.int64)
