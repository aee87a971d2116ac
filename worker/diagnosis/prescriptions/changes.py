"""Every change that is prescribed, each with the paper it is from."""

import sys
from typing import Final

from contract.spec import JobSpec
from worker.diagnosis.prescriptions.change import Change, JsonObject, revised

_LR_WITH_GATES: Final = 0.005
_UNIT_CLIPPING: Final[JsonObject] = {"kind": "norm", "max_norm": 1.0}


def _clipping(spec: JobSpec) -> JsonObject:
    """The spec's own clipping, or the usual one if it has none."""
    return spec.remedy.clipping.model_dump() if spec.remedy.clipping else _UNIT_CLIPPING


def _use_cell(spec: JobSpec, kind: str, init: JsonObject | None) -> JobSpec:
    """The same sizes with another cell, clipped, at the lr with which it was measured to learn."""
    return revised(
        spec,
        cell={"kind": kind},
        remedy={"activation": None, "init": init, "clipping": _clipping(spec)},
        training={"optimizer": {"kind": "adam", "lr": _LR_WITH_GATES}},
    )


def chrono(kind: str, max_lag: int) -> Change:
    """An LSTM or GRU whose gates start with memories as long as the sequence."""

    def apply(spec: JobSpec) -> JobSpec:
        return _use_cell(spec, kind, {"kind": "chrono", "max_lag": max(3, max_lag)})

    return Change(
        f"Use {_with_article(kind)} with chrono initialisation",
        apply,
        f"its gates start with memories of up to {max_lag} steps; with torch's own start an LSTM "
        "reaches no further than a tanh network",
        "Tallec & Ollivier 2018",
    )


def gru() -> Change:
    """A GRU at the lr with which it learns to add."""
    return Change(
        "Use a GRU",
        lambda spec: _use_cell(spec, "gru", None),
        "its update gate carries the state along; it learns the adding problem of 100 steps in "
        "about 600 steps",
        "Cho et al. 2014; Bai, Kolter & Koltun 2018",
    )


def lstm_forget_bias() -> Change:
    """An LSTM that remembers from the start."""
    return Change(
        "Use an LSTM with forget bias 1",
        lambda spec: _use_cell(spec, "lstm", {"kind": "forget_bias", "value": 1.0}),
        "its cell state adds instead of multiplying, and the bias keeps the forget gate open at "
        "the start",
        "Hochreiter & Schmidhuber 1997; Jozefowicz et al. 2015",
    )


ORTHOGONAL: Final = Change(
    "Start W_hh orthogonal, clip at 1",
    lambda spec: revised(
        spec,
        cell={"kind": "rnn"},
        remedy={"init": {"kind": "orthogonal", "gain": 1.0}, "clipping": _clipping(spec)},
    ),
    "an orthogonal W_hh neither shrinks nor grows what passes through it",
    "Henaff, Szlam & LeCun 2016; Saxe et al. 2014",
)

IDENTITY_RELU: Final = Change(
    "Use ReLU and start W_hh as the identity (IRNN), clip at 1",
    lambda spec: revised(
        spec,
        cell={"kind": "rnn"},
        remedy={
            "activation": {"kind": "relu"},
            "init": {"kind": "identity", "scale": 1.0},
            "clipping": _clipping(spec),
        },
    ),
    "an active ReLU has derivative 1 and the identity keeps the state, so the gradient neither "
    "shrinks nor grows at the start",
    "Le, Jaitly & Hinton 2015",
)

CLIP: Final = Change(
    "Clip the gradient's norm at 1",
    lambda spec: revised(spec, remedy={"clipping": _UNIT_CLIPPING}),
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

WARM_UP: Final = Change(
    "Warm up, then follow a cosine",
    lambda spec: revised(
        spec,
        remedy={
            "lr_control": {"kind": "cosine", "warmup_steps": spec.training.max_steps // 10},
            "clipping": _clipping(spec),
        },
    ),
    "small first steps let the optimizer find its scale, small last ones let it settle",
    "Loshchilov & Hutter 2017; Godbole et al., Deep Learning Tuning Playbook 2023",
)

WEIGHT_DECAY: Final = Change(
    "Use AdamW with weight decay 0.1",
    lambda spec: revised(
        spec,
        training={
            "optimizer": {
                "kind": "adamw",
                "lr": spec.training.optimizer.lr,
                "weight_decay": 0.1,
            }
        },
    ),
    "decay keeps the weights, and with them what can be learned by heart, small",
    "Loshchilov & Hutter 2019",
)

SMALLER: Final = Change(
    "Halve the hidden size",
    lambda spec: revised(spec, cell={"hidden_size": max(1, spec.cell.hidden_size // 2)}),
    "fewer parameters can learn less by heart",
    "Godbole et al., Deep Learning Tuning Playbook 2023",
)

LONGER: Final = Change(
    "Train four times as long",
    lambda spec: revised(
        spec, training={"max_steps": min(10_000_000, 4 * spec.training.max_steps)}
    ),
    "the held-out loss was still falling when the budget was used up",
    "Godbole et al., Deep Learning Tuning Playbook 2023",
)


def scale_lr(factor: float) -> Change:
    """The same optimizer with its lr times a factor."""

    def apply(spec: JobSpec) -> JobSpec:
        optimizer = spec.training.optimizer.model_dump(mode="json")
        lr = min(1e3, max(sys.float_info.min, float(f"{optimizer['lr'] * factor:.3g}")))
        return revised(spec, training={"optimizer": optimizer | {"lr": lr}})

    word = "Lower" if factor < 1 else "Raise"
    return Change(
        f"{word} lr {factor if factor > 1 else 1 / factor:.0f} times",
        apply,
        "updates should be about a thousandth of the parameters they change",
        "cs231n, Neural Networks part 3; Godbole et al., Deep Learning Tuning Playbook 2023",
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


def _with_article(kind: str) -> str:
    return "an LSTM" if kind == "lstm" else "a GRU"
