"""The network and its losses against torch's autograd."""

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.worker.training.tiny_tasks import TinyDataset, tiny_spec
from worker.datasets.task import Batch
from worker.training.losses import LossKind
from worker.training.model import Model, stack_batches
from worker.training.pack import Pack

CPU = torch.device("cpu")
MODULES = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def _torch_prediction(kind: str, named: dict[str, Tensor], x_TBI: Tensor) -> Tensor:
    """The same network by torch, two layers of five units, with `named` as its parameters."""
    module = nn.ModuleDict(
        {"rnn": MODULES[kind](2, 5, 2), "readout": nn.Linear(5, len(named["readout.bias"]))}
    ).double()
    recurrent = {n.removeprefix("rnn."): t for n, t in named.items() if n.startswith("rnn.")}
    output_TBH, _ = torch.func.functional_call(module["rnn"], recurrent, (x_TBI,))
    return nn.functional.linear(output_TBH[-1], named["readout.weight"], named["readout.bias"])


@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from(["rnn", "gru", "lstm"]),
    loss=st.sampled_from(["cross_entropy", "squared_error"]),
    seed=st.integers(0, 1000),
)
def test_loss_and_gradients_equal_autograd(kind: str, loss: LossKind, seed: int) -> None:
    """The losses and all gradients of two stacked layers and readout are those of autograd."""
    datasets = [TinyDataset(seed, loss), TinyDataset(seed + 1, loss)]
    pack = Pack([(tiny_spec(kind, seed=seed), dataset) for dataset in datasets])
    model = pack.model(CPU, torch.float64)
    parameters_KP = pack.initial_parameters(torch.float64) * 2
    gradients_KP = torch.full_like(parameters_KP, torch.nan)
    batches = [dataset.batch(1, 4) for dataset in datasets]
    x_KTBI, target = stack_batches(batches, CPU, torch.float64)
    parameters, gradients = pack.layout.views(parameters_KP), pack.layout.views(gradients_KP)
    forward = model.forward(x_KTBI, parameters)
    loss_K = model.losses(forward.prediction_KBO, target)
    model.backward(forward, target, parameters, gradients)
    for job in range(2):
        row_P = parameters_KP[job].clone().requires_grad_()
        prediction_BO = _torch_prediction(kind, pack.layout.named(row_P), x_KTBI[job])
        judge = nn.CrossEntropyLoss() if loss == "cross_entropy" else nn.MSELoss()
        expected = judge(prediction_BO, target[job])
        (expected_P,) = torch.autograd.grad(expected, row_P)

        torch.testing.assert_close(loss_K[job], expected.detach(), rtol=1e-12, atol=0)
        torch.testing.assert_close(gradients_KP[job], expected_P, rtol=1e-10, atol=1e-14)


def _model_and_parameters(loss: LossKind) -> tuple[Model, Pack, Tensor]:
    pack = Pack([(tiny_spec(), TinyDataset(loss=loss))])
    return pack.model(CPU, torch.float64), pack, pack.initial_parameters(torch.float64)


@pytest.mark.parametrize("sequences", [1, 256, 600])
def test_evaluation_in_chunks_is_the_mean_over_all(sequences: int) -> None:
    """Held-out loss and accuracy do not depend on the chunks, of which the last may be short."""
    model, pack, parameters_KP = _model_and_parameters("cross_entropy")
    network = pack.layout.views(parameters_KP)
    batch = TinyDataset(loss="cross_entropy").batch(1, sequences)
    x_KTBI, target = stack_batches([batch], CPU, torch.float64)
    prediction_BO = model.forward(x_KTBI, network).prediction_KBO[0]
    expected = nn.functional.cross_entropy(prediction_BO, target[0])
    hits = (prediction_BO.argmax(dim=1) == target[0]).double().mean()
    loss, accuracy = model.evaluate(network, batch)

    assert loss == pytest.approx(float(expected), rel=1e-12)
    assert accuracy == pytest.approx(float(hits), rel=1e-12)


def test_squared_error_has_no_accuracy() -> None:
    """Predicted values are neither right nor wrong."""
    model, pack, parameters_KP = _model_and_parameters("squared_error")
    _, accuracy = model.evaluate(pack.layout.views(parameters_KP), TinyDataset().validation())

    assert accuracy is None


@pytest.mark.parametrize(
    ("loss", "prediction", "target", "expected"),
    [
        ("squared_error", [[3.0, 1.0]], np.array([[1.0, 1.0]], np.float32), 2.0),
        ("cross_entropy", [[0.0, 0.0]], np.array([1], np.int64), 0.6931471805599453),
    ],
)
def test_losses_by_hand(
    loss: Literal["cross_entropy", "squared_error"],
    prediction: list[list[float]],
    target: np.ndarray[tuple[int, ...], np.dtype[np.float32 | np.int64]],
    expected: float,
) -> None:
    """(2^2 + 0)/2 is 2; two equal logits cost ln 2."""
    model, _, _ = _model_and_parameters(loss)
    prediction_KBO = torch.tensor([prediction], dtype=torch.float64)
    loss_K = model.losses(prediction_KBO, torch.from_numpy(target)[None])

    assert loss_K.tolist() == pytest.approx([expected], rel=1e-15)


def test_batches_are_stacked_time_first() -> None:
    """What sequence n showed at time t to job k is found at [k, t, n]."""
    x_NTI = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    batch = Batch(x_NTI, np.array([0, 1]))
    x_KTBI, target = stack_batches([batch, batch], CPU, torch.float64)

    assert x_KTBI.shape == (2, 3, 2, 2)
    assert x_KTBI[1, 2, 0].tolist() == x_NTI[0, 2].tolist()
    assert x_KTBI.dtype == torch.float64
    assert target.tolist() == [[0, 1], [0, 1]]
