"""The same networks by torch, for autograd to differentiate.

Shapes: T time steps, S of them with a target, B sequences, I inputs, H hidden units, O outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from worker.training.losses import LossKind

NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def predict_by_torch(
    kind: str, named: dict[str, Tensor], x_TBI: Tensor, target_steps: int
) -> Tensor:
    """Torch's own layers with `named` as their parameters: (S, B, O)."""
    modules = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
    recurrent = {n.removeprefix("rnn."): t for n, t in named.items() if n.startswith("rnn.")}
    sizes = x_TBI.shape[2], named["readout.weight"].shape[1], len(recurrent) // len(NAMES)
    module = modules[kind](*sizes, dtype=torch.float64)
    output_TBH, _ = torch.func.functional_call(module, recurrent, (x_TBI,))
    return _read_out(output_TBH[-target_steps:], named)


def mean_loss(kind: LossKind, prediction_SBO: Tensor, target: Tensor) -> Tensor:
    """Torch's mean over all targets."""
    judge = nn.CrossEntropyLoss() if kind == "cross_entropy" else nn.MSELoss()
    loss: Tensor = judge(prediction_SBO.flatten(0, 1), target.flatten(0, 1))
    return loss


@dataclass(frozen=True)
class LayerSteps:
    """One layer a step at a time: tensors that autograd gives the gradient of."""

    states: list[tuple[Tensor, ...]]
    """After each step h_t; of an LSTM also what c_t hands on to the next step."""
    weights: list[Tensor]
    """The W_hh of each step, all equal."""


def steps_by_torch(
    kind: str,
    named: dict[str, Tensor],
    x_TBI: Tensor,
    target_steps: int,
    masks: Sequence[Tensor] = (),
) -> tuple[list[LayerSteps], Tensor]:
    """Torch's own cells in a loop.

    Args:
        kind: of the cell.
        named: the parameters.
        x_TBI: inputs.
        target_steps: S.
        masks: of each layer but the top one, (T, B, H); none without dropout.

    Returns:
        The layers from the input up, and the predictions (S, B, O).
    """
    layers: list[LayerSteps] = []
    output_TBH = x_TBI
    while f"rnn.weight_hh_l{len(layers)}" in named:
        parameters = [named[f"rnn.{name}_l{len(layers)}"] for name in NAMES]
        layer = _run_layer(kind, parameters, output_TBH)
        output_TBH = torch.stack([state[0] for state in layer.states])
        if len(layers) < len(masks):
            output_TBH = output_TBH * masks[len(layers)]
        layers.append(layer)
    return layers, _read_out(output_TBH[-target_steps:], named)


def _run_layer(kind: str, parameters: list[Tensor], x_TBI: Tensor) -> LayerSteps:
    weight_ih, weight_hh, bias_ih, bias_hh = parameters
    zeros_BH = x_TBI.new_zeros(x_TBI.shape[1], weight_hh.shape[1])
    state: tuple[Tensor, ...] = (zeros_BH, zeros_BH)
    steps = LayerSteps([], [])
    for x_BI in x_TBI:
        weight = weight_hh.clone()
        if kind == "lstm":
            h_BH, c_BH = torch.lstm_cell(x_BI, state, weight_ih, weight, bias_ih, bias_hh)
            # The copy has only the gradient that comes from the next step.
            state = h_BH, c_BH.clone()
        else:
            cell = torch.gru_cell if kind == "gru" else torch.rnn_tanh_cell
            state = (cell(x_BI, state[0], weight_ih, weight, bias_ih, bias_hh),)
        steps.states.append(state)
        steps.weights.append(weight)
    return steps


def _read_out(h_SBH: Tensor, named: dict[str, Tensor]) -> Tensor:
    return nn.functional.linear(h_SBH, named["readout.weight"], named["readout.bias"])
