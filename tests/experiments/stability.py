"""Experiments on the gradient's flow before training, explosions, spikes and learning rates."""

from dataclasses import replace
from typing import Final

import torch

from contract.diagnosis import Verdict
from tests.experiments.arms import (
    CLIPPED,
    ORTHOGONAL,
    RECALL_SOLVED,
    adding,
    job,
    order,
    patched,
    recall,
    solved,
    until,
)
from tests.experiments.experiment import Band, Experiment, JsonObject, Measure, Published
from tests.experiments.spike import SPIKE_STEP, SpikedTrainer

_UNTRAINED = 1
"""Flow is measured in the backward pass of step 1, before the first update."""

_ALMOST_LINEAR: Final[JsonObject] = {"kind": "leaky_relu", "negative_slope": 1 - 1e-12}


def _scaled_orthogonal(scale: float) -> Experiment:
    """100 steps lie between the first and the last of 101 states."""
    remedy: JsonObject = {
        "activation": _ALMOST_LINEAR,
        "init": {"kind": "orthogonal", "gain": scale},
    }
    ratio = scale**100
    return Experiment(
        "E1",
        f"linear, W_hh {scale} times orthogonal, float64",
        job(adding(101), "rnn", _UNTRAINED, remedy=remedy),
        (Band(Measure.FLOW_RATIO, ratio * (1 - 1e-6), ratio * (1 + 1e-6)),),
        Published(f"{scale}^100 = {ratio:.5g}", "Pascanu et al. 2013, section 2"),
        dtype=torch.float64,
    )


_FLOW: Final = (
    *(_scaled_orthogonal(scale) for scale in (0.9, 1.0, 1.1)),
    Experiment(
        "E2",
        "tanh, torch's start",
        job(adding(100), "rnn", _UNTRAINED, remedy={}),
        (Band(Measure.SPECTRAL_RADIUS, 0.5, 0.7), Band(Measure.REACH, high=15)),
        Published("spectral radius 1/√3 = 0.577", "the circular law; Girko 1985"),
    ),
)

_EXPLOSIVE: Final[dict[str, tuple[JsonObject, float]]] = {
    "tanh, W ~ N(0, 4/H)": ({"init": {"kind": "xavier_normal", "gain": 2.0}}, 0.1),
    "ReLU, W_hh = 1.05 I": (
        {"activation": {"kind": "relu"}, "init": {"kind": "identity", "scale": 1.05}},
        0.01,
    ),
}


def _unclipped(arm: str) -> Experiment:
    remedy, lr = _EXPLOSIVE[arm]
    spec = job(adding(100), "rnn", 300, remedy={**remedy, "clipping": None})
    return Experiment(
        "E10",
        f"adding 100, SGD, {arm}, not clipped",
        patched(spec, {"training": {"optimizer": {"kind": "sgd", "lr": lr}}}),
        (Band(Measure.NONFINITE_STEPS, low=1),),
        Published("the gradient explodes", "Pascanu et al. 2013"),
        verdict=Verdict.DIVERGED,
    )


def _clipped(arm: str) -> Experiment:
    return replace(
        _unclipped(arm),
        arm=f"adding 100, SGD, {arm}, clipped at 1",
        spec=patched(_unclipped(arm).spec, {"remedy": {"clipping": CLIPPED}}),
        gate=(Band(Measure.NONFINITE_STEPS, high=0), Band(Measure.CLIPPED, low=0.9)),
        published=Published("clipping keeps it finite", "Pascanu et al. 2013"),
        verdict=None,
    )


_EXPLOSIONS: Final = tuple(make(arm) for arm in _EXPLOSIVE for make in (_unclipped, _clipped))


def _spike(arm: str, clipping: JsonObject | None, gate: Band, published: Published) -> Experiment:
    remedy: JsonObject = {"init": ORTHOGONAL, "clipping": clipping}
    spec = job(order(30), "rnn", 260, remedy=remedy)
    return Experiment(
        "E11",
        f"temporal order 30, loss x 1e6 at step {SPIKE_STEP}, {arm}",
        # Evaluated just before the spike and at the end.
        patched(spec, {"training": {"eval_every": SPIKE_STEP - 1}}),
        (gate,),
        published,
        trainer=SpikedTrainer,
    )


_RECOVERED: Final = Band(Measure.LAST_OVER_FIRST, high=1)

_SPIKES: Final = (
    _spike(
        "not clipped",
        None,
        Band(Measure.LAST_LOSS, low=1),
        Published("a spike undoes training", "SPAM: Huang et al. 2025"),
    ),
    _spike(
        "value",
        {"kind": "value", "clip_value": 1.0},
        Band(Measure.LAST_LOSS, high=1),
        Published("little harm", "Mikolov 2012"),
    ),
    _spike("norm", CLIPPED, _RECOVERED, Published("no harm", "Pascanu et al. 2013")),
    _spike(
        "zclip", {"kind": "zclip"}, _RECOVERED, Published("no harm", "ZClip: Kumar et al. 2025")
    ),
    _spike(
        "auto",
        {"kind": "auto", "percentile": 10},
        _RECOVERED,
        Published("no harm", "AutoClip: Seetharaman et al. 2020"),
    ),
)

_CAP = 1_500
_PLAYBOOK: Final = "Deep Learning Tuning Playbook, Godbole et al. 2023"


def _recall_50(lr: float, lr_control: JsonObject) -> JsonObject:
    remedy: JsonObject = {"init": ORTHOGONAL, "lr_control": lr_control}
    return until(job(recall(50), "rnn", _CAP, remedy=remedy, lr=lr), RECALL_SOLVED, eval_every=50)


_LEARNING_RATES: Final = (
    Experiment(
        "E12",
        "recall 50, tanh, orthogonal start, lr 0.01",
        _recall_50(1e-2, {"kind": "constant"}),
        (Band(Measure.BEST_LOSS, low=RECALL_SOLVED),),
        Published("unstable", _PLAYBOOK),
    ),
    Experiment(
        "E12",
        "recall 50, tanh, orthogonal start, lr 0.01 by warm-up and cosine",
        _recall_50(1e-2, {"kind": "cosine", "warmup_steps": 150}),
        solved(RECALL_SOLVED),
        Published("warm-up allows the higher lr", _PLAYBOOK),
        verdict=Verdict.HEALTHY,
    ),
    Experiment(
        "E12",
        "recall 50, tanh, orthogonal start, lr 0.001",
        _recall_50(1e-3, {"kind": "constant"}),
        solved(RECALL_SOLVED),
        Published("learned", "Henaff, Szlam & LeCun 2016"),
        verdict=Verdict.HEALTHY,
    ),
)

STABILITY: Final = (*_FLOW, *_EXPLOSIONS, *_SPIKES, *_LEARNING_RATES)
