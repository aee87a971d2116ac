"""The network: its states, its predictions, and how it is judged."""

import numpy as np
import pytest
import torch

from tests.worker.training.lessons import CPU, make_course
from tests.worker.training.tiny_tasks import TinyDataset
from tests.worker.training.torch_network import mean_loss, predict_by_torch
from worker.datasets.task import Batch
from worker.training.losses import LossKind
from worker.training.model import stack_batches
from worker.training.readout import read_out


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_sequence_can_go_on_from_the_final_states(kind: str) -> None:
    """Run in two parts, each layer starting where it stopped, the states are those of the whole."""
    course = make_course(kind)
    model = course.pack.model(CPU, torch.float64)
    network = course.pack.layout.views(course.start)
    x_KTBI = course.exercise.x_KTBI
    whole = model.forward(x_KTBI, network)
    first = model.forward(x_KTBI[:, :2], network)
    second = model.forward(x_KTBI[:, 2:], network, first.final_states)

    torch.testing.assert_close(second.answers(4), whole.answers(4), rtol=1e-12, atol=0)
    torch.testing.assert_close(second.final_states, whole.final_states, rtol=1e-12, atol=0)


def test_readout_of_no_states_is_empty() -> None:
    """Where nothing is asked nothing is said."""
    course = make_course("rnn")
    network = course.pack.layout.views(course.start)

    assert read_out(torch.zeros(2, 0, 4, 5, dtype=torch.float64), network).shape == (2, 0, 4, 2)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize("target_steps", [1, 3])
@pytest.mark.parametrize("sequences", [1, 256, 600])
def test_evaluation_in_chunks_is_the_mean_over_all(
    loss: LossKind, target_steps: int, sequences: int
) -> None:
    """Held-out loss and accuracy do not depend on the chunks, of which the last may be short."""
    course = make_course("rnn", loss, target_steps=target_steps)
    alone, row_KP = course.pack.part(0, 1), course.start[:1]
    batch = TinyDataset(9, loss, target_steps=target_steps).batch(1, sequences)
    x_KTBI, target = stack_batches([batch], CPU, torch.float64)
    named = alone.layout.named(row_KP[0])
    prediction_SBO = predict_by_torch("rnn", named, x_KTBI[0], target_steps)
    expected = mean_loss(loss, prediction_SBO, target[0])
    mean, accuracy = alone.model(CPU, torch.float64).evaluate(alone.layout.views(row_KP), batch)

    assert mean == pytest.approx(float(expected), rel=1e-12)
    if loss == "cross_entropy":
        hits = (prediction_SBO.argmax(dim=2) == target[0]).double().mean()
        assert accuracy == pytest.approx(float(hits), rel=1e-12)


def test_squared_error_has_no_accuracy() -> None:
    """Predicted values are neither right nor wrong."""
    course = make_course("rnn")
    alone = course.pack.part(0, 1)
    network = alone.layout.views(course.start[:1])
    _, accuracy = alone.model(CPU, torch.float64).evaluate(network, TinyDataset().validation())

    assert accuracy is None


def test_batches_are_stacked_time_first() -> None:
    """What sequence n showed, and was asked, at time t of job k is found at [k, t, n]."""
    x_NTI = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    batch = Batch(x_NTI, np.array([[0, 1], [2, 3]]))
    x_KTBI, target = stack_batches([batch, batch], CPU, torch.float64)

    assert x_KTBI.shape == (2, 3, 2, 2)
    assert x_KTBI[1, 2, 0].tolist() == x_NTI[0, 2].tolist()
    assert x_KTBI.dtype == torch.float64
    assert target.tolist() == [[[0, 2], [1, 3]], [[0, 2], [1, 3]]]
