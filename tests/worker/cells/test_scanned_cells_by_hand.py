"""One unit of a minimal GRU, a minimal LSTM and an LRU, solved by hand."""

import math

import torch
from torch import Tensor

from worker.cells.lru.reference import LruReference
from worker.cells.min_gru.reference import MinGruGates
from worker.cells.min_lstm.reference import MinLstmGates
from worker.cells.minimal import MinimalReference


def tensor(*numbers: float) -> Tensor:
    """A float64 row."""
    return torch.tensor(numbers, dtype=torch.float64)


def test_min_gru_by_hand() -> None:
    """One unit, z = 1/2, candidate 2x, x = (1, 3): h = (1, 3.5); dL/dh_2 = 1 gives dL/dW_h = 1.75.

    W_h gets z * x_2 + (1-z) * z * x_1; z's bias gets z(1-z) (candidate_t - h_{t-1}) along the way:
    1/4 * (6 - 1) + 1/2 * 1/4 * (2 - 0) = 1.5.
    """
    parameters = {"weight_ih": tensor(0, 2).view(1, 2, 1), "bias_ih": tensor(0, 0).view(1, 2)}
    gradients = {name: torch.zeros_like(value) for name, value in parameters.items()}
    forward = MinimalReference(MinGruGates()).forward(tensor(1, 3).view(1, 2, 1, 1), parameters)
    back = forward.backward(tensor(1).view(1, 1, 1, 1), gradients, needs_grad_x=True, measure=True)

    assert forward.h_KTBH.flatten().tolist() == [1.0, 3.5]
    assert gradients["weight_ih"].flatten()[1] == 1.75
    assert gradients["bias_ih"].flatten().tolist() == [1.5, 0.75]
    assert back.flow is not None
    assert back.flow.grad_norm_KT.flatten().tolist() == [0.5, 1.0]


def test_min_lstm_by_hand() -> None:
    """With f = 1/2 and i = 1/4 two thirds are kept: candidates 3 and 6 give h = (1, 8/3)."""
    logits = [0.0, -math.log(3), 0.0]
    parameters = {
        "weight_ih": tensor(0, 0, 1).view(1, 3, 1),
        "bias_ih": tensor(*logits).view(1, 3),
    }
    forward = MinimalReference(MinLstmGates()).forward(tensor(3, 6).view(1, 2, 1, 1), parameters)

    torch.testing.assert_close(forward.h_KTBH.flatten(), tensor(1, 8 / 3))


def test_lru_by_hand() -> None:
    """A unit that halves its state and turns it by a quarter: s = (4, 2i, -1), and gelu(Re s)."""
    one, none = tensor(1).view(1, 1, 1), tensor(0).view(1, 1, 1)
    parameters = {
        "nu_log": tensor(math.log(math.log(2))).view(1, 1),
        "theta_log": tensor(math.log(math.pi / 2)).view(1, 1),
        "gamma_log": tensor(math.log(4)).view(1, 1),
        "b_real": one,
        "b_imag": none,
        "c_real": one,
        "c_imag": none,
        "d": none,
    }
    forward = LruReference().forward(tensor(1, 0, 0).view(1, 3, 1, 1), parameters)

    torch.testing.assert_close(
        forward.final_state[0].flatten(), torch.tensor([-1], dtype=torch.complex128)
    )
    torch.testing.assert_close(forward.h_KTBH.flatten(), torch.nn.functional.gelu(tensor(4, 0, -1)))


def test_gates_that_underflow_still_weigh() -> None:
    """In float32, where sigmoid(-200) is 0, equal gates keep half, and no gradient is nan."""
    parameters = {
        "weight_ih": torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1),
        "bias_ih": torch.tensor([-200.0, -200.0, 0.0]).view(1, 3),
    }
    gradients = {name: torch.zeros_like(value) for name, value in parameters.items()}
    x_KTBI = torch.tensor([2.0, 3.0]).view(1, 2, 1, 1)
    forward = MinimalReference(MinLstmGates()).forward(x_KTBI, parameters)
    forward.backward(torch.ones(1, 1, 1, 1), gradients, needs_grad_x=False, measure=False)

    assert forward.h_KTBH.flatten().tolist() == [1.0, 2.0]
    assert gradients["bias_ih"].isfinite().all()
