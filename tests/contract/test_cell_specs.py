"""What may be asked of a cell, and how many parameters it has."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from contract.parameter_shapes import count_parameters, network_shapes
from contract.spec import JobSpec


def spec_of(cell: dict[str, Any], init: str | None = None) -> JobSpec:
    """A spec of that cell."""
    document = {"dataset": {"kind": "adding"}, "cell": cell}
    return JobSpec.model_validate(document | ({"remedy": {"init": {"kind": init}}} if init else {}))


@pytest.mark.parametrize(
    ("cell", "init", "pointer"),
    [
        ({"kind": "min_gru"}, "orthogonal", "/remedy/init"),
        ({"kind": "min_lstm"}, "forget_bias", "/remedy/init"),
        ({"kind": "min_gru"}, "identity", "/remedy/init"),
        ({"kind": "lru"}, "xavier_normal", "/remedy/init"),
        ({"kind": "lru"}, "kaiming", "/remedy/init"),
        ({"kind": "lru"}, "orthogonal", "/remedy/init"),
        ({"kind": "gru", "dropout": 0.5}, None, "/cell/dropout"),
        ({"kind": "lru", "r_min": 0.9, "r_max": 0.9}, None, "/cell/r_min"),
    ],
)
def test_impossible_cell_is_named(cell: dict[str, Any], init: str | None, pointer: str) -> None:
    """What a cell cannot have is refused with the pointer to what has to change."""
    with pytest.raises(ValidationError) as caught:
        spec_of(cell, init)

    (error,) = caught.value.errors()
    assert error["ctx"]["pointer"] == pointer


@pytest.mark.parametrize(
    ("kind", "init"),
    [
        ("min_gru", "xavier_uniform"),
        ("min_gru", "kaiming"),
        ("min_lstm", "xavier_normal"),
        ("min_lstm", "default"),
        ("lru", "default"),
    ],
)
def test_fitting_init_is_taken(kind: str, init: str) -> None:
    """Starts that are defined for a cell are accepted."""
    remedy = spec_of({"kind": kind}, init).remedy

    assert remedy.init is not None
    assert remedy.init.kind == init


@pytest.mark.parametrize(
    "cell",
    [
        {"kind": "gru", "num_layers": 2, "dropout": 1},
        {"kind": "gru", "num_layers": 2, "dropout": -0.1},
        {"kind": "gru", "bidirectional": 1},
        {"kind": "gru", "r_min": 0.5},
        {"kind": "lru", "r_max": 1.1},
    ],
)
def test_cell_out_of_bounds_is_refused(cell: dict[str, Any]) -> None:
    """Dropout lies in [0, 1), a flag is no number, and a ring in the unit disk is the LRU's own."""
    with pytest.raises(ValidationError):
        spec_of(cell)


@pytest.mark.parametrize("is_bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_parameters_are_torch_own(kind: str, *, is_bidirectional: bool) -> None:
    """Names, shapes and order are those of torch's module with a linear readout."""
    recurrent = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind](
        3, 4, 2, bidirectional=is_bidirectional, device=torch.device("meta")
    )
    cell = {"kind": kind, "hidden_size": 4, "num_layers": 2, "bidirectional": is_bidirectional}
    expected = {f"rnn.{name}": tuple(value.shape) for name, value in recurrent.named_parameters()}
    width = 8 if is_bidirectional else 4
    expected |= {"readout.weight": (5, width), "readout.bias": (5,)}
    shapes = network_shapes(spec_of(cell), 3, 5)

    assert list(shapes.items()) == list(expected.items())


@pytest.mark.parametrize(
    ("cell", "parameters"),
    [
        # A gate: 4 units on 3 inputs with a bias; then the readout of 4 units for 5 outputs.
        ({"kind": "min_gru"}, 2 * 4 * (3 + 1) + 5 * (4 + 1)),
        ({"kind": "min_lstm"}, 3 * 4 * (3 + 1) + 5 * (4 + 1)),
        ({"kind": "min_gru", "bidirectional": True}, 2 * 2 * 4 * (3 + 1) + 5 * (8 + 1)),
        # Three logarithms; B, twice, and D on the inputs; C, twice, on the states.
        ({"kind": "lru"}, 3 * 4 + 3 * 4 * 3 + 2 * 4 * 4 + 5 * (4 + 1)),
    ],
)
def test_parameters_are_counted_by_hand(cell: dict[str, Any], parameters: int) -> None:
    """Cells that torch has not have exactly these many parameters."""
    assert count_parameters(spec_of({"hidden_size": 4, **cell}), 3, 5) == parameters
