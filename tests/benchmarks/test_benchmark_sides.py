import math
from dataclasses import replace

import pytest
import torch

from benchmarks.sides.drawn_dataset import draw
from benchmarks.sides.networks import make_network
from benchmarks.sides.ours import Ours
from benchmarks.sides.peers import make_peer
from benchmarks.sides.skip_network import SkipLayer, make_skip_network
from benchmarks.sides.torch_jobs import TorchJobs
from benchmarks.work import NEVER, Work

SMALL = Work("rnn", batch_size=8, hidden_size=6, seq_len=10)
PLAIN = [
    SMALL,
    replace(SMALL, activation="relu"),
    replace(SMALL, activation="leaky_relu"),
    replace(SMALL, cell="gru"),
    replace(SMALL, cell="lstm"),
]


@pytest.mark.parametrize("work", PLAIN)
def test_plain_torch_takes_our_steps(work: Work) -> None:
    """From the same start and batches, plain torch is where we are after thirty steps."""
    ours = Ours(work.specs())
    peer = make_peer("torch", work, ours.starts)

    for steps in (1, 29):
        assert peer.run(steps) == pytest.approx(ours.run(steps), rel=1e-3)


@pytest.mark.parametrize("work", PLAIN)
def test_plain_torch_trains(work: Work) -> None:
    """Its loss falls to less than half within a hundred steps."""
    peer = make_peer("torch", work, Ours(work.specs()).starts)

    assert peer.run(1) > 2 * peer.run(99)


@pytest.mark.parametrize("work", [SMALL, PLAIN[3], PLAIN[4]])
def test_skip_loop_starts_as_its_cell_and_trains(work: Work) -> None:
    """With its gate open at first its loss is the plain cell's, and it falls to less than half."""
    ours = Ours(work.specs())
    peer = make_peer("skip-loop", work, ours.starts)
    first = peer.run(1)

    assert first == pytest.approx(ours.run(1), rel=1e-4)
    assert first > 2 * peer.run(99)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_skip_gate_adds_up_until_it_opens(kind: str) -> None:
    """A gate that gains 0.4 a step opens at every second step, and the state waits meanwhile."""
    layer = SkipLayer(kind, hidden_size=3)
    torch.nn.init.zeros_(layer.gate.weight)
    torch.nn.init.constant_(layer.gate.bias, math.log(0.4 / 0.6))

    h_TBH, gate_TB = layer(torch.rand(5, 2, 2))

    assert gate_TB.tolist() == [[1, 1], [0, 0], [1, 1], [0, 0], [1, 1]]
    assert torch.equal(h_TBH[1], h_TBH[0])
    assert not torch.equal(h_TBH[2], h_TBH[1])


def test_gradient_passes_the_rounding_of_the_gate() -> None:
    """The gate learns although its output is rounded."""
    (start,) = Ours(PLAIN[1].specs()).starts
    network = make_skip_network(start)

    network(torch.rand(10, 8, 2)).sum().backward()

    assert isinstance(network.rnn, SkipLayer)
    assert network.rnn.gate.weight.grad is not None
    assert network.rnn.gate.weight.grad.abs().min() > 0


def test_jobs_of_the_plain_side_are_those_of_the_pack() -> None:
    """Sixteen jobs packed and sixteen one after another have the same mean loss."""
    work = replace(SMALL, jobs=16)
    ours = Ours(work.specs())
    peer = TorchJobs(make_network, ours.starts)

    assert peer.run(5) == pytest.approx(ours.run(5), rel=1e-3)


def test_each_job_has_weights_and_data_of_its_own() -> None:
    """Two jobs of a pack differ in both, or the pack would train one job many times."""
    first, second = Ours(replace(SMALL, jobs=2).specs()).starts

    assert not torch.equal(
        first.parameters["rnn.weight_hh_l0"], second.parameters["rnn.weight_hh_l0"]
    )
    assert (first.batches[0].x_NTI != second.batches[0].x_NTI).any()


def test_unmeasured_peer_takes_the_measured_steps() -> None:
    """Leaving the gradient's flow out changes no bit of the training."""
    ours = Ours(SMALL.specs())
    peer = make_peer("unmeasured", SMALL, ours.starts)

    assert peer.run(20) == ours.run(20)


def test_drawn_batches_come_in_turn() -> None:
    """After the last drawn batch comes the first one again."""
    (spec,) = SMALL.specs()
    dataset = draw(spec)

    count = len(dataset.batches)
    assert [dataset.batch(step, 8) for step in (1, 2, count, count + 1)] == [
        dataset.batches[index] for index in (0, 1, count - 1, 0)
    ]


def test_only_the_adding_problem_is_drawn() -> None:
    """A spec on another dataset is refused."""
    (spec,) = SMALL.specs()
    document = spec.model_dump() | {"dataset": {"kind": "delayed_recall"}}

    with pytest.raises(TypeError, match="adding"):
        draw(type(spec).model_validate(document))


def test_flow_is_recorded_at_every_step_unless_asked_otherwise() -> None:
    """Our side measures at every step, its counterpart at none but the first."""
    assert [spec.diagnostics.flow_every for spec in SMALL.specs()] == [1]
    assert [spec.diagnostics.flow_every for spec in SMALL.specs(NEVER)] == [NEVER]
