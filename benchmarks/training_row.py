"""A row of training steps: both sides in this process, and the machine's best beside them."""

from benchmarks.figures import floor_share, summarise
from benchmarks.floor import measure_peak, operations
from benchmarks.interleaving import measure
from benchmarks.outcome import Outcome
from benchmarks.row import TrainingRow
from benchmarks.sides.ours import Ours
from benchmarks.sides.peers import make_peer


def measure_training(row: TrainingRow) -> Outcome:
    """Measure a row; its figures are of CPU time.

    Raises:
        UnequalWorkError: the sides do not do the same work, or one of them does not train.
    """
    peak_before = measure_peak()
    ours = Ours(row.work.specs())
    peer = make_peer(row.peer, row.work, ours.starts)
    cpu, wall = measure(ours, peer, row.plan)
    figures = summarise(cpu, row.target)
    # A machine that is busy with something else for a moment has not become a slower one.
    peak = max(peak_before, measure_peak())
    share = floor_share(operations(row.work), peak, figures.ours_ms)
    return Outcome(row.name, figures, summarise(wall, row.target), [cpu, wall], share, peak)
