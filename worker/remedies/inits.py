"""How the weights of one job start.

Shapes: L layers, G gates, I inputs of a layer, H hidden units, O outputs. A gate's block is its H
rows of a (G*H, ...) tensor, in torch's order: i, f, g, o for an LSTM and r, z, n for a GRU.

Every number is drawn in float64 on the CPU and rounded when it is stored, so a job starts from the
same weights on any device, and in float32 from those of float64 rounded.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from contract.parameter_shapes import GATES
from contract.spec.cell import Cell, Lru
from contract.spec.remedy import (
    Activation,
    Chrono,
    ForgetBias,
    Identity,
    Kaiming,
    LeakyRelu,
    ModRelu,
    Orthogonal,
    Remedy,
    XavierNormal,
    XavierUniform,
)
from worker.cells.lru.start import start_lru
from worker.training.parameters import LayerParameters, directions

# The gates that squash by a sigmoid; the others have a tanh, in the RNN the chosen activation, and
# a minimal cell's candidate has none.
_SIGMOID_GATES = {"r", "z", "i", "f", "o"}
# What proposes the new state in each cell.
_CANDIDATES = {"rnn": "h", "gru": "n", "lstm": "g"}
# What no init speaks of.
_OF_NO_INIT = {"activation_bias", "skip_weight", "skip_bias", "weight_lag"}
_IRNN_INPUT_STD = 0.001

# Fills a float64 block of one gate, given the gate's name, and returns it.
_Fill = Callable[[Tensor, str], Tensor]


def initialise(
    layers: Sequence[LayerParameters], cell: Cell, remedy: Remedy, generator: torch.Generator
) -> None:
    """Fill one job's recurrent layers in place.

    Everything is first drawn as torch does; the init of the remedy then replaces what it speaks
    of, from a second stream of numbers. So `generator` ends in the same state whatever the init,
    and two jobs of equal seed differ in nothing but what their remedies change.

    - xavier_uniform, xavier_normal, kaiming: W_ih and W_hh, each gate's block by its own fans and,
      for kaiming, its own nonlinearity's gain (none and sigmoid 1, tanh 5/3, relu sqrt 2); biases
      0.
    - orthogonal: each H x H gate block of W_hh is `gain` times a random orthogonal matrix. Biases
      are 0: tanh and sigmoid are steepest there, and a bias would shrink what the orthogonal
      matrix keeps. W_ih stays as drawn.
    - identity: W_hh = scale * I, W_ih from N(0, 0.001^2), biases 0.
    - chrono: b_f = log U(1, max_lag - 1) and b_i = -b_f in an LSTM. A GRU has it on b_z, as torch's
      h_t = (1-z) * n + z * h_{t-1} keeps the state by z.
    - forget_bias: b_f = value.

    The weights of a skip over time are no init's: `skip_weight` starts as torch's weights do,
    `skip_bias` at 1, so that at first most steps update the state, and `weight_lag` as the identity
    where the candidate for the new state is made and as 0 at the other gates. Nor is modReLU's
    bias, which starts at 0: there it is the identity, and so is its gain for kaiming.

    torch adds two biases: where a gate's bias is set, it is in `bias_ih`, and `bias_hh` is 0 there.
    Filling both would double it and, for chrono, square the memory's length.

    The two directions of a bidirectional layer are drawn one after the other, as by torch.

    Args:
        layers: L layers from the input up, without a leading pack axis.
        cell: the kind of all layers.
        remedy: its init, None being torch's default; its activation sets kaiming's gain.
        generator: on the CPU.

    Raises:
        KeyError: if the init sets a gate that the cell lacks; no valid job spec asks for that.

    Source:
        Glorot & Bengio, AISTATS 2010; He et al., ICCV 2015; Saxe et al., ICLR 2014; Le, Jaitly &
        Hinton, arXiv 1504.00941; Tallec & Ollivier, ICLR 2018; Jozefowicz et al., ICML 2015; for
        the skips Campos et al., ICLR 2018; He et al., CVPR 2016.
    """
    each = [direction for layer in layers for direction in directions(layer)]
    for direction in each:
        _draw_default(direction, cell, generator)
    # Drawn for every init, used or not: the caller's next draw must not depend on the remedy.
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    remedy_generator = torch.Generator().manual_seed(seed)
    for direction in each:
        _apply(direction, cell, remedy, remedy_generator)
    for direction in each:
        _start_rest(direction, cell, remedy_generator)


def initialise_readout(weight_OH: Tensor, bias_O: Tensor, generator: torch.Generator) -> None:
    """Fill the readout in place from U(-1/sqrt(H), 1/sqrt(H)), as `torch.nn.Linear`."""
    bound = 1 / math.sqrt(weight_OH.shape[1])
    _draw_uniform(weight_OH, bound, generator)
    _draw_uniform(bias_O, bound, generator)


def _draw_default(layer: LayerParameters, cell: Cell, generator: torch.Generator) -> None:
    """As torch.nn.RNN, or torch.nn.Linear if the cell is minimal; an LRU as in its paper.

    The first two draw everything from U(-1/sqrt(H), 1/sqrt(H)), in the order of the parameters, H
    being the columns of W_hh, or else those of W_ih.
    """
    if isinstance(cell, Lru):
        start_lru(layer, cell, generator)
        return
    weight = layer["weight_hh" if "weight_hh" in layer else "weight_ih"]
    for name, tensor in layer.items():
        if name not in _OF_NO_INIT:
            _draw_uniform(tensor, 1 / math.sqrt(weight.shape[1]), generator)


def _draw_uniform(tensor: Tensor, bound: float, generator: torch.Generator) -> None:
    drawn = torch.empty(tensor.shape, dtype=torch.float64)
    tensor.copy_(drawn.uniform_(-bound, bound, generator=generator))


def _start_rest(layer: LayerParameters, cell: Cell, generator: torch.Generator) -> None:
    """What no init speaks of."""
    if "activation_bias" in layer:
        layer["activation_bias"].zero_()
    if "skip_weight" in layer:
        bound = 1 / math.sqrt(layer["skip_weight"].shape[1])
        _draw_uniform(layer["skip_weight"], bound, generator)
        layer["skip_bias"].fill_(1)
    if "weight_lag" in layer:
        layer["weight_lag"].zero_()
        nn.init.eye_(_by_gate(layer["weight_lag"], cell)[_CANDIDATES[cell.kind]])


def _apply(layer: LayerParameters, cell: Cell, remedy: Remedy, generator: torch.Generator) -> None:
    """Replace what the init speaks of; the default, and None, speak of nothing."""
    match remedy.init:
        case XavierUniform() | XavierNormal() | Kaiming():
            fill = _weight_fill(remedy.init, remedy.activation, generator)
            for name in ("weight_ih", "weight_hh"):
                if name in layer:
                    _fill_gates(layer[name], cell, fill)
            _zero_biases(layer)
        case Orthogonal(gain=gain):
            _fill_gates(
                layer["weight_hh"],
                cell,
                lambda block, _: nn.init.orthogonal_(block, gain, generator),
            )
            _zero_biases(layer)
        case Identity(scale=scale):
            _fill_gates(layer["weight_hh"], cell, lambda block, _: nn.init.eye_(block).mul_(scale))
            drawn = torch.empty(layer["weight_ih"].shape, dtype=torch.float64)
            layer["weight_ih"].copy_(drawn.normal_(std=_IRNN_INPUT_STD, generator=generator))
            _zero_biases(layer)
        case Chrono(max_lag=max_lag):
            _apply_chrono(layer, cell, max_lag, generator)
        case ForgetBias(value=value):
            hidden_size = layer["weight_hh"].shape[1]
            _set_bias(layer, cell, "f", torch.full((hidden_size,), value, dtype=torch.float64))


def _weight_fill(
    init: XavierUniform | XavierNormal | Kaiming,
    activation: Activation | None,
    generator: torch.Generator,
) -> _Fill:
    """What draws a weight block: its fan-in is the columns, its fan-out the rows."""
    match init:
        case XavierUniform(gain=gain):
            return lambda block, _: nn.init.xavier_uniform_(block, gain, generator)
        case XavierNormal(gain=gain):
            return lambda block, _: nn.init.xavier_normal_(block, gain, generator)
        case Kaiming():
            slope = activation.negative_slope if isinstance(activation, LeakyRelu) else 0.0
            return lambda block, gate: nn.init.kaiming_normal_(
                block, slope, nonlinearity=_nonlinearity(gate, activation), generator=generator
            )


def _nonlinearity(
    gate: str, activation: Activation | None
) -> Literal["linear", "sigmoid", "tanh", "relu", "leaky_relu"]:
    if gate == "candidate":
        return "linear"
    if gate in _SIGMOID_GATES:
        return "sigmoid"
    match activation:
        case None:
            return "tanh"
        case ModRelu():
            return "linear"
        case _:
            return activation.kind


def _fill_gates(weight: Tensor, cell: Cell, fill: _Fill) -> None:
    for gate, block in _by_gate(weight, cell).items():
        block.copy_(fill(torch.empty(block.shape, dtype=torch.float64), gate))


def _apply_chrono(
    layer: LayerParameters, cell: Cell, max_lag: int, generator: torch.Generator
) -> None:
    drawn_H = torch.empty(layer["weight_hh"].shape[1], dtype=torch.float64)
    memory_H = drawn_H.uniform_(1, max_lag - 1, generator=generator).log_()
    if cell.kind == "lstm":
        _set_bias(layer, cell, "f", memory_H)
        _set_bias(layer, cell, "i", -memory_H)
    else:
        _set_bias(layer, cell, "z", memory_H)


def _set_bias(layer: LayerParameters, cell: Cell, gate: str, value_H: Tensor) -> None:
    """Set the summed bias of one gate."""
    _by_gate(layer["bias_ih"], cell)[gate].copy_(value_H)
    _by_gate(layer["bias_hh"], cell)[gate].zero_()


def _zero_biases(layer: LayerParameters) -> None:
    for name in ("bias_ih", "bias_hh"):
        if name in layer:
            layer[name].zero_()


def _by_gate(tensor: Tensor, cell: Cell) -> dict[str, Tensor]:
    """Views of each gate's rows."""
    gates = GATES[cell.kind]
    return dict(zip(gates, tensor.chunk(len(gates)), strict=True))
