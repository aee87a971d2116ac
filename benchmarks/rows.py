"""All rows, and how some of them are chosen by name."""

from collections.abc import Sequence

from benchmarks.row import Measure, Peer, Plan, Row, ServiceRow, Target, TrainingRow
from benchmarks.work import Work

# Sixteen jobs a step on both sides.
_PACK_PLAN = Plan(warm_up=5, rounds=15, block=4)
# A few percent are looked for: more rounds, shorter ones.
_FINE_PLAN = Plan(warm_up=20, rounds=80, block=5)


class UnknownRowError(Exception):
    """A name that no row begins with."""


def _speed_up(bound: float | None = None) -> Target:
    return Target(Measure.SPEED_UP, bound)


def _information(peer: Peer) -> tuple[Row, ...]:
    return (
        TrainingRow(f"{peer}-rnn", Work("rnn"), peer, _speed_up()),
        TrainingRow(f"{peer}-lstm", Work("lstm"), peer, _speed_up()),
    )


ROWS: tuple[Row, ...] = (
    TrainingRow("rnn-tanh", Work("rnn"), "torch", _speed_up(4.5)),
    TrainingRow("rnn-relu", Work("rnn", "relu"), "torch", _speed_up(4.5)),
    TrainingRow("rnn-leaky", Work("rnn", "leaky_relu"), "torch", _speed_up(4.5)),
    TrainingRow("rnn-tanh-h128", Work("rnn", hidden_size=128), "torch", _speed_up(2.4)),
    TrainingRow("rnn-relu-h128", Work("rnn", "relu", hidden_size=128), "torch", _speed_up(2.4)),
    TrainingRow(
        "rnn-leaky-h128", Work("rnn", "leaky_relu", hidden_size=128), "torch", _speed_up(2.4)
    ),
    TrainingRow("lstm", Work("lstm"), "torch", _speed_up(1.5)),
    TrainingRow("lstm-b128", Work("lstm", batch_size=128), "torch", _speed_up(2.3)),
    TrainingRow("gru", Work("gru"), "torch", _speed_up(4.5)),
    TrainingRow("skip-rnn", Work("rnn", skip=True), "skip-loop", _speed_up(12)),
    TrainingRow("skip-gru", Work("gru", skip=True), "skip-loop", _speed_up(12)),
    TrainingRow("skip-lstm", Work("lstm", skip=True), "skip-loop", _speed_up(12)),
    TrainingRow("jax-rnn", Work("rnn"), "jax", _speed_up(1.4)),
    TrainingRow("jax-lstm", Work("lstm"), "jax", _speed_up(1.5)),
    *_information("lightning"),
    *_information("keras-jax"),
    *_information("keras-torch"),
    TrainingRow("pack", Work("rnn", jobs=16), "torch", _speed_up(5), _PACK_PLAN),
    TrainingRow(
        "pack-short",
        Work("rnn", jobs=16, seq_len=25, batch_size=8),
        "torch",
        _speed_up(15),
        _PACK_PLAN,
    ),
    *(
        TrainingRow(
            f"diagnostics-{work.cell}", work, "unmeasured", Target(Measure.COST, 1.03), _FINE_PLAN
        )
        for work in (Work("rnn"), Work("gru"), Work("lstm"))
    ),
    ServiceRow("cold-start", "cold_start", _speed_up(5)),
    ServiceRow("first-step", "first_step", Target(Measure.TIME, 300)),
)


def choose(names: Sequence[str]) -> list[Row]:
    """The rows whose names begin with one of these; all of them if there are none.

    Raises:
        UnknownRowError: no row begins with one of the names; the message lists all rows.
    """
    for name in names:
        if not any(row.name.startswith(name) for row in ROWS):
            known = ", ".join(row.name for row in ROWS)
            raise UnknownRowError(f"no row begins with {name!r}; there are {known}")
    return [row for row in ROWS if not names or row.name.startswith(tuple(names))]
