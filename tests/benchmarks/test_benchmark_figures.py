import pytest
import torch
from torch.nn.functional import mse_loss
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.figures import Timing, floor_share, summarise
from benchmarks.floor import measure_peak, operations
from benchmarks.row import Measure, Target
from benchmarks.sides.networks import make_network
from benchmarks.sides.ours import Ours
from benchmarks.sides.torch_jobs import as_tensors
from benchmarks.work import Work


def test_speed_up_is_of_the_medians() -> None:
    """A round that is slow on one side moves neither the ratio nor whether it is reached."""
    timing = Timing("cpu", ours_ms=[2.0, 2.0, 90.0], peer_ms=[7.0, 8.0, 9.0])

    figures = summarise(timing, Target(Measure.SPEED_UP, 4.0))

    assert (figures.ours_ms, figures.peer_ms) == (2.0, 8.0)
    assert figures.value == 4.0
    assert figures.missing == 0


def test_spread_holds_the_middle_half_of_the_rounds() -> None:
    """The spread is the quartiles of the rounds' own ratios."""
    timing = Timing("cpu", ours_ms=[1.0] * 5, peer_ms=[5.0, 3.0, 1.0, 2.0, 4.0])

    assert summarise(timing, Target(Measure.SPEED_UP)).spread == (2.0, 4.0)


def test_short_speed_up_misses_by_its_share_of_the_bound() -> None:
    """3 times where 4 were to be reached is a quarter short."""
    timing = Timing("cpu", ours_ms=[1.0, 1.0], peer_ms=[3.0, 3.0])

    assert summarise(timing, Target(Measure.SPEED_UP, 4.0)).missing == pytest.approx(0.25)


@pytest.mark.parametrize(("ours_ms", "missing"), [(1.0, 0.0), (1.5, 0.2)])
def test_cost_is_our_time_over_the_other(ours_ms: float, missing: float) -> None:
    """A cost is reached below its bound and misses it by what lies above."""
    timing = Timing("cpu", ours_ms=[ours_ms] * 2, peer_ms=[1.0, 1.0])

    figures = summarise(timing, Target(Measure.COST, 1.25))

    assert figures.value == ours_ms
    assert figures.missing == pytest.approx(missing)


def test_time_without_a_peer_is_held_against_milliseconds() -> None:
    """A row without a peer compares its own median with the bound."""
    figures = summarise(Timing("wall", [330.0, 330.0], None), Target(Measure.TIME, 300.0))

    assert figures.peer_ms is None
    assert figures.missing == pytest.approx(0.1)


def test_row_without_a_bound_misses_nothing_and_reaches_nothing() -> None:
    """A row for information has no verdict."""
    timing = Timing("cpu", [1.0, 1.0], [1.0, 1.0])

    assert summarise(timing, Target(Measure.SPEED_UP)).missing is None


def test_floor_share_by_hand() -> None:
    """80 million operations at 100 GFLOP/s need 0.8 ms, half of 1.6."""
    assert floor_share(80_000_000, 100e9, ours_ms=1.6) == pytest.approx(0.5)


def test_operations_are_those_that_torch_counts() -> None:
    """The products of a step are torch's and one that it leaves out, as no one asks for dh_0."""
    work = Work("rnn", "leaky_relu", batch_size=4, hidden_size=8, seq_len=6)
    (start,) = Ours(work.specs()).starts
    network = make_network(start)
    x_TBI, target_BO = as_tensors(start.batches[0])

    with FlopCounterMode(display=False) as counter:
        mse_loss(network(x_TBI), target_BO).backward()  # type: ignore[no-untyped-call]

    assert operations(work) == counter.get_total_flops() + 2 * 4 * 8 * 8


def test_operations_grow_with_gates_and_jobs() -> None:
    """An LSTM's recurrent products are four times an RNN's, and K jobs have K times as many."""
    readout = 2 * 3 * 32 * 64
    one, four = operations(Work("rnn")), operations(Work("lstm"))

    assert four - readout == 4 * (one - readout)
    assert operations(Work("rnn", jobs=16)) == 16 * one


def test_skip_gate_counts() -> None:
    """The gate of a Skip RNN adds a product with one column, and its two backward."""
    assert operations(Work("gru", skip=True)) - operations(Work("gru")) == 2 * 3 * 32 * 100 * 64


def test_peak_is_a_speed() -> None:
    """The measured best is at least what any machine of the last decades can do."""
    torch.set_num_threads(1)

    assert measure_peak() > 1e8
