"""E14: the reach before training tells which lengths can be learned, where the lag is fixed."""

from typing import Final

from tests.experiments.arms import (
    FORGET_BIAS,
    ORTHOGONAL,
    RECALL_SOLVED,
    adding,
    chrono,
    job,
    recall,
    recall_stuck,
    solved,
    until,
)
from tests.experiments.experiment import Band, Experiment, JsonObject, Measure, Published

_OURS: Final = Published("none", "our own rule")
_CAP = 1_500

# Cell, init and lr.
_SHORT: Final[dict[str, tuple[str, JsonObject | None, float]]] = {
    "tanh, torch's start": ("rnn", None, 1e-3),
    "LSTM, torch's start": ("lstm", None, 5e-3),
    "GRU, torch's start": ("gru", None, 5e-3),
    "LSTM, forget bias 1": ("lstm", FORGET_BIAS, 5e-3),
}
_LONG: Final[dict[str, tuple[str, JsonObject | None, float]]] = {
    "tanh, orthogonal start": ("rnn", ORTHOGONAL, 1e-3),
    "LSTM, chrono start": ("lstm", chrono(100), 5e-3),
}


def _reaches(arm: str, cell: str, init: JsonObject | None, gate: Band) -> Experiment:
    spec = job(adding(100), cell, 1, remedy={"init": init})
    return Experiment("E14", f"adding 100, untrained, {arm}", spec, (gate,), _OURS)


def _fails(arm: str, seq_len: int) -> Experiment:
    cell, init, lr = _SHORT[arm]
    spec = job(recall(seq_len), cell, _CAP, remedy={"init": init}, lr=lr)
    gate = recall_stuck()
    return Experiment("E14", f"recall {seq_len}, {arm}", spec, gate, _OURS, is_quick=False)


def _learns(arm: str) -> Experiment:
    cell, init, lr = _LONG[arm]
    spec = until(job(recall(100), cell, _CAP, remedy={"init": init}, lr=lr), RECALL_SOLVED)
    gate = solved(RECALL_SOLVED)
    return Experiment("E14", f"recall 100, {arm}", spec, gate, _OURS, is_quick=False)


REACH: Final = (
    *(
        _reaches(arm, cell, init, Band(Measure.REACH, high=25))
        for arm, (cell, init, _) in _SHORT.items()
    ),
    *(
        _reaches(arm, cell, init, Band(Measure.REACH, low=100))
        for arm, (cell, init, _) in _LONG.items()
    ),
    *(_fails(arm, seq_len) for arm in _SHORT for seq_len in (50, 100)),
    *(_learns(arm) for arm in _LONG),
)
