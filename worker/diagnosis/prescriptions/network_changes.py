"""Every prescribed change of the network and of clipping, each with the paper it is from."""

from typing import Final

from contract.spec import JobSpec
from contract.spec.job_spec import init_fits
from worker.diagnosis.prescriptions.change import Change, JsonObject, revised

# With these each change was measured to learn; tanh networks fail to recall at 0.01.
_LR_WITH_GATES: Final = 0.005
_LR_KEPT_ORTHOGONAL: Final = 0.002
LR_WITHOUT_GATES: Final = 0.001
RESIDUAL_LAG: Final = 10
"""Steps that a prescribed residual connection leaps: about as many as a tanh network reaches by
itself at torch's start, as it has to lead the gradient to every step in between."""
_DILATED_LAYERS: Final = 3
DILATION: Final = 16
"""Of the top layer of a prescribed dilated network."""
_UNIT_CLIPPING: Final[JsonObject] = {"kind": "norm", "max_norm": 1.0}
_ORTHOGONAL: Final[JsonObject] = {"kind": "orthogonal", "gain": 1.0}
_KEPT_ORTHOGONAL: Final[JsonObject] = {**_ORTHOGONAL, "constraint": True, "lr_factor": 0.1}


def has_recurrent_weights(spec: JobSpec) -> bool:
    """Whether its cell has a W_hh, which may be orthogonal."""
    return init_fits("orthogonal", spec.cell.kind)


def _use_gates(spec: JobSpec, kind: str, init: JsonObject | None, steps: int) -> JobSpec:
    return _use_network(spec, kind, {"activation": None, "init": init}, _LR_WITH_GATES, steps)


def _use_network(spec: JobSpec, kind: str, remedy: JsonObject, lr: float, steps: int) -> JobSpec:
    """The same sizes with another cell, clipped, at the lr with which it was measured to learn."""
    return revised(
        spec,
        cell={"kind": kind},
        remedy={"clipping": _UNIT_CLIPPING, **remedy},
        training={
            "optimizer": {"kind": "adam", "lr": lr},
            "max_steps": max(steps, spec.training.max_steps),
        },
    )


def _use_rnn(spec: JobSpec, remedy: JsonObject, steps: int) -> JobSpec:
    """A network without gates, clipped; at its own lr only where that is known to be low enough."""
    optimizer = spec.training.optimizer
    is_known_to_learn = optimizer.kind == "adam" and optimizer.lr <= LR_WITHOUT_GATES
    kept = optimizer.model_dump(mode="json")
    return revised(
        spec,
        cell={"kind": "rnn"},
        remedy={"clipping": _UNIT_CLIPPING, **remedy},
        training={
            "optimizer": kept if is_known_to_learn else {"kind": "adam", "lr": LR_WITHOUT_GATES},
            "max_steps": max(steps, spec.training.max_steps),
        },
    )


def chrono(kind: str, max_lag: int, steps: int = 0) -> Change:
    """An LSTM or GRU whose gates start with memories as long as the sequence."""

    def apply(spec: JobSpec) -> JobSpec:
        return _use_gates(spec, kind, {"kind": "chrono", "max_lag": max(3, max_lag)}, steps)

    return Change(
        f"Use {_with_article(kind)} with chrono initialisation",
        apply,
        f"its gates start with memories of up to {max_lag} steps; with torch's own start an LSTM "
        "reaches no further than a tanh network",
        "Tallec & Ollivier 2018",
    )


def gru(steps: int = 0) -> Change:
    """A GRU at the lr with which it learns to add."""
    return Change(
        "Use a GRU",
        lambda spec: _use_gates(spec, "gru", None, steps),
        "its update gate carries the state along; it learns the adding problem of 100 steps in "
        "about 600 steps",
        "Cho et al. 2014; Bai, Kolter & Koltun 2018",
    )


def lstm_forget_bias(steps: int = 0) -> Change:
    """An LSTM that remembers from the start."""
    return Change(
        "Use an LSTM with forget bias 1",
        lambda spec: _use_gates(spec, "lstm", {"kind": "forget_bias", "value": 1.0}, steps),
        "its cell state adds instead of multiplying, and the bias keeps the forget gate open at "
        "the start",
        "Hochreiter & Schmidhuber 1997; Jozefowicz et al. 2015",
    )


def orthogonal_tanh(spec: JobSpec, steps: int = 0) -> Change:
    """A tanh network whose W_hh keeps every length at the start."""
    activation = spec.remedy.activation
    tanh = activation.model_dump() if activation and activation.kind == "tanh" else None
    return Change(
        _orthogonal_title(spec),
        lambda spec: _use_rnn(spec, {"activation": tanh, "init": _ORTHOGONAL}, steps),
        "an orthogonal W_hh neither shrinks nor grows what passes through it",
        "Henaff, Szlam & LeCun 2016; Saxe et al. 2014",
    )


def _orthogonal_title(spec: JobSpec) -> str:
    """What an orthogonal tanh network changes of this spec."""
    activation, init = spec.remedy.activation, spec.remedy.init
    if spec.cell.kind != "rnn" or (activation is not None and activation.kind != "tanh"):
        return "Use a tanh network, start W_hh orthogonal, clip at 1"
    if init is not None and init.model_dump() == _ORTHOGONAL:
        return f"Keep the orthogonal start, use Adam at lr {LR_WITHOUT_GATES}, clip at 1"
    return "Start W_hh orthogonal, clip at 1"


def residual(steps: int = 0) -> Change:
    """The same cell with a connection from each state to the one `RESIDUAL_LAG` steps later."""
    skip: JsonObject = {"kind": "residual", "lag": RESIDUAL_LAG}

    def apply(spec: JobSpec) -> JobSpec:
        if spec.cell.kind in {"gru", "lstm"}:
            return revised(_use_gates(spec, spec.cell.kind, None, steps), remedy={"skip": skip})
        return _use_rnn(spec, {"activation": None, "init": None, "skip": skip}, steps)

    return Change(
        f"Connect each state to the one {RESIDUAL_LAG} steps later, clip at 1",
        apply,
        f"a gradient that leaps {RESIDUAL_LAG} steps at a time has a tenth of the way to go; so a "
        "tanh network learns to recall over 400 steps, from torch's own start",
        "Lin et al. 1996; Zhang et al. 2016",
    )


def dilated(steps: int = 0) -> Change:
    """Three tanh layers, of which the second and third read the states of 4 and 16 steps before."""
    skip: JsonObject = {"kind": "dilated", "base": 4}
    remedy: JsonObject = {"activation": None, "init": None, "skip": skip}

    def apply(spec: JobSpec) -> JobSpec:
        deep = revised(spec, cell={"num_layers": _DILATED_LAYERS}, remedy={"skip": None})
        return _use_rnn(deep, remedy, steps)

    return Change(
        f"Use {_DILATED_LAYERS} tanh layers with dilations 1, 4 and {DILATION}, clip at 1",
        apply,
        f"the gradient leaps {DILATION} steps at a time through the top layer, and the others lead "
        "it to every step; so it learns the order of two symbols over 100 steps within 200 updates",
        "Chang et al. 2017",
    )


def identity_relu(steps: int = 0) -> Change:
    """A ReLU network that starts by keeping its state."""
    remedy: JsonObject = {
        "activation": {"kind": "relu"},
        "init": {"kind": "identity", "scale": 1.0},
    }
    return Change(
        "Use ReLU and start W_hh as the identity (IRNN), clip at 1",
        lambda spec: _use_rnn(spec, remedy, steps),
        "an active ReLU has derivative 1 and the identity keeps the state, so the gradient "
        "neither shrinks nor grows at the start",
        "Le, Jaitly & Hinton 2015",
    )


def mod_relu_kept_orthogonal(steps: int = 0) -> Change:
    """A network that starts linear and whose W_hh keeps every length throughout training."""
    remedy: JsonObject = {"activation": {"kind": "mod_relu"}, "init": _KEPT_ORTHOGONAL}
    return Change(
        "Use modReLU and keep W_hh orthogonal, clip at 1",
        lambda spec: _use_network(spec, "rnn", remedy, _LR_KEPT_ORTHOGONAL, steps),
        "it keeps exactly what it has read; it learns to copy over 50 blanks in about 700 steps, "
        "which an LSTM with forget bias 1 does not in 3,000",
        "Helfrich, Willmott & Ye 2018; Lezcano-Casado & Martinez-Rubio 2019",
    )


ORTHOGONAL: Final = Change(
    "Start W_hh orthogonal, clip at 1",
    lambda spec: (
        revised(spec, remedy={"init": _ORTHOGONAL, "clipping": _UNIT_CLIPPING})
        if has_recurrent_weights(spec)
        else spec
    ),
    "an orthogonal W_hh, of gain 1, neither shrinks nor grows what passes through it",
    "Henaff, Szlam & LeCun 2016; Saxe et al. 2014",
)

CLIP: Final = Change(
    "Clip the gradient's norm at 1",
    lambda spec: spec if _is_clipped(spec) else revised(spec, remedy={"clipping": _UNIT_CLIPPING}),
    "a bounded gradient cannot throw the weights away: training stays finite; it makes no memory",
    "Pascanu, Mikolov & Bengio 2013",
)

LEAKY_RELU: Final = Change(
    "Use leaky ReLU",
    lambda spec: revised(
        spec, remedy={"activation": {"kind": "leaky_relu", "negative_slope": 0.1}}
    ),
    "a unit that is below zero still passes a tenth of its gradient, so none stays dead",
    "Maas, Hannun & Ng 2013",
)


def loosen_clipping(max_norm: float) -> Change:
    """Clipping at about the run's own median gradient norm."""
    limit = float(f"{min(max(max_norm, 1e-6), 1e12):.2g}")
    return Change(
        f"Clip at {limit:g}, the median gradient norm",
        lambda spec: revised(spec, remedy={"clipping": {"kind": "norm", "max_norm": limit}}),
        "half of the updates then pass uncut",
        "Seetharaman et al. 2020 (AutoClip)",
    )


def _is_clipped(spec: JobSpec) -> bool:
    clipping = spec.remedy.clipping
    return clipping is not None and clipping.kind == "norm" and clipping.max_norm <= 1


def _with_article(kind: str) -> str:
    return "an LSTM" if kind == "lstm" else "a GRU"
