"""The parameters of a network, by name and shape: what the worker trains and the gateway counts.

Shapes: G gates, I inputs of a layer, H hidden units, O outputs.
"""

import math
from typing import Final

from contract.spec import Activation, Cell, JobSpec, LearnedSkip, ModRelu, ResidualSkip, Skip

Shapes = dict[str, tuple[int, ...]]

#: The gates of each cell but the LRU, in the order of their H rows in a (G*H, ...) tensor.
GATES: Final[dict[str, tuple[str, ...]]] = {
    "rnn": ("h",),
    "gru": ("r", "z", "n"),
    "lstm": ("i", "f", "g", "o"),
    "min_gru": ("z", "candidate"),
    "min_lstm": ("f", "i", "candidate"),
}

#: Ends the names of the parameters that belong to the direction from the sequence's end.
REVERSE: Final = "_reverse"


def layer_shapes(spec: JobSpec, input_size: int) -> Shapes:
    """Parameters of one layer by torch's names, without `_l0`; a reverse direction's come last."""
    cell = spec.cell
    shapes = {
        **_direction_shapes(cell, input_size),
        **_activation_shapes(cell, spec.remedy.activation),
        **_skip_shapes(cell, spec.remedy.skip),
    }
    if cell.bidirectional:
        shapes |= {f"{name}{REVERSE}": shape for name, shape in shapes.items()}
    return shapes


def layer_output_size(cell: Cell) -> int:
    """Features that a layer hands to the next one."""
    return 2 * cell.hidden_size if cell.bidirectional else cell.hidden_size


def network_shapes(spec: JobSpec, input_size: int, output_size: int) -> Shapes:
    """All parameters by name: `rnn.weight_ih_l0`, ..., `readout.weight`, `readout.bias`.

    The names are those in the state dict of a torch module that has its recurrent part as `rnn`
    and a `torch.nn.Linear` as `readout`; what torch's layers lack follows the same pattern.
    """
    width = layer_output_size(spec.cell)
    shapes: Shapes = {}
    for layer in range(spec.cell.num_layers):
        for name, shape in layer_shapes(spec, width if layer else input_size).items():
            shapes[parameter_name(name, layer)] = shape
    return shapes | {"readout.weight": (output_size, width), "readout.bias": (output_size,)}


def parameter_name(name: str, layer: int) -> str:
    """The full name of a layer's parameter."""
    base = name.removesuffix(REVERSE)
    return f"rnn.{base}_l{layer}{name.removeprefix(base)}"


def count_parameters(spec: JobSpec, input_size: int, output_size: int) -> int:
    """How many numbers the network has to learn."""
    return sum(math.prod(shape) for shape in network_shapes(spec, input_size, output_size).values())


def _direction_shapes(cell: Cell, input_size: int) -> Shapes:
    hidden = cell.hidden_size
    if cell.kind == "lru":
        return _lru_shapes(hidden, input_size)
    rows = len(GATES[cell.kind]) * hidden
    if cell.kind in {"min_gru", "min_lstm"}:
        return {"weight_ih": (rows, input_size), "bias_ih": (rows,)}
    return {
        "weight_ih": (rows, input_size),
        "weight_hh": (rows, hidden),
        "bias_ih": (rows,),
        "bias_hh": (rows,),
    }


def _lru_shapes(hidden: int, input_size: int) -> Shapes:
    """Real and imaginary parts lie apart: the buffer of all parameters is real."""
    return {
        "nu_log": (hidden,),
        "theta_log": (hidden,),
        "gamma_log": (hidden,),
        "b_real": (hidden, input_size),
        "b_imag": (hidden, input_size),
        "c_real": (hidden, hidden),
        "c_imag": (hidden, hidden),
        "d": (hidden, input_size),
    }


def _activation_shapes(cell: Cell, activation: Activation | None) -> Shapes:
    """What an activation learns."""
    return {"activation_bias": (cell.hidden_size,)} if isinstance(activation, ModRelu) else {}


def _skip_shapes(cell: Cell, skip: Skip | None) -> Shapes:
    hidden = cell.hidden_size
    match skip:
        case LearnedSkip():
            return {"skip_weight": (1, hidden), "skip_bias": (1,)}
        case ResidualSkip():
            return {"weight_lag": (len(GATES[cell.kind]) * hidden, hidden)}
        case _:
            return {}
