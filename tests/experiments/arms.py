"""How the table's rows are put together: their specs, and the gates most of them share."""

import math
from typing import Final

from contract.merge_patch import apply_merge_patch
from tests.experiments.experiment import Band, JsonObject, Measure

RECALL_SOLVED: Final = 0.02
"""Nats: a hundredth of the baseline."""

ADDING_BASELINE: Final = 1 / 6
ADDING_SOLVED: Final = ADDING_BASELINE / 100

CLIPPED: Final[JsonObject] = {"kind": "norm", "max_norm": 1.0}

ORTHOGONAL: Final[JsonObject] = {"kind": "orthogonal"}
FORGET_BIAS: Final[JsonObject] = {"kind": "forget_bias", "value": 1.0}


def recall(seq_len: int) -> JsonObject:
    """Delayed recall of one of 8 symbols; baseline ln 8."""
    return {"kind": "delayed_recall", "seq_len": seq_len}


def order(seq_len: int) -> JsonObject:
    """Temporal order; baseline ln 4."""
    return {"kind": "temporal_order", "seq_len": seq_len}


def adding(seq_len: int) -> JsonObject:
    """The adding problem; baseline 1/6."""
    return {"kind": "adding", "seq_len": seq_len}


def copy(lag: int) -> JsonObject:
    """The copy task; baseline 10 ln 8 / (lag + 20)."""
    return {"kind": "copy_memory", "lag": lag}


def chrono(max_lag: int) -> JsonObject:
    """Chrono initialisation."""
    return {"kind": "chrono", "max_lag": max_lag}


def job(
    dataset: JsonObject,
    cell: str,
    max_steps: int,
    *,
    remedy: JsonObject,
    lr: float = 1e-3,
) -> JsonObject:
    """A spec with what most rows share: 64 units, Adam, 64 sequences, gradient norm clipped at 1.

    Args:
        dataset: of the spec.
        cell: its kind.
        max_steps: of training.
        remedy: besides the clipping, which it may replace.
        lr: of Adam.
    """
    return {
        "dataset": dataset,
        "cell": {"kind": cell, "hidden_size": 64},
        "remedy": {"clipping": CLIPPED, **remedy},
        "training": {
            "optimizer": {"kind": "adam", "lr": lr},
            "batch_size": 64,
            "max_steps": max_steps,
        },
        "diagnostics": {"flow_every": 50},
    }


def patched(spec: JsonObject, patch: JsonObject) -> JsonObject:
    """The spec changed by a JSON Merge Patch, as a fork changes it."""
    merged: JsonObject = apply_merge_patch(spec, patch)
    return merged


def until(spec: JsonObject, below: float, eval_every: int = 100) -> JsonObject:
    """The spec, ended at the first evaluation below a held-out loss."""
    stop = {"kind": "target", "below": below}
    return patched(spec, {"training": {"eval_every": eval_every, "stop": stop}})


def solved(below: float) -> tuple[Band, ...]:
    """The held-out loss once falls so low."""
    return (Band(Measure.BEST_LOSS, high=below),)


def stuck(low: float, high: float) -> tuple[Band, ...]:
    """The held-out loss never falls below the band around the baseline, and ends within it."""
    return Band(Measure.BEST_LOSS, low=low), Band(Measure.LAST_LOSS, high=high)


def around(baseline: float, margin: float) -> tuple[Band, ...]:
    """Stuck within so much of the baseline."""
    return stuck(baseline - margin, baseline + margin)


def recall_stuck() -> tuple[Band, ...]:
    """Within 2 % of ln 8."""
    return around(math.log(8), 0.02 * math.log(8))
