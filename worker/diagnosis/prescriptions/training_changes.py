"""Every prescribed change of optimizer, lr, size and length, with the paper it is from."""

import sys
from typing import Final

from contract.spec import JobSpec
from worker.diagnosis.prescriptions.change import Change, revised
from worker.diagnosis.prescriptions.network_changes import LR_WITHOUT_GATES

WARM_UP: Final = Change(
    "Warm up, then follow a cosine",
    lambda spec: revised(
        spec,
        remedy={"lr_control": {"kind": "cosine", "warmup_steps": spec.training.max_steps // 10}},
    ),
    "small first steps let the optimizer find its scale, small last ones let it settle",
    "Loshchilov & Hutter 2017; Godbole et al., Deep Learning Tuning Playbook 2023",
)

ADAM: Final = Change(
    "Use Adam at lr 0.001",
    lambda spec: revised(spec, training={"optimizer": {"kind": "adam", "lr": LR_WITHOUT_GATES}}),
    "Adam divides each gradient by its usual size, so small gradients move the weights too",
    "Kingma & Ba 2015",
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
    "a loss that still falls, or has hardly begun to, needs more steps",
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


def train_at(lr: float) -> Change:
    """The same optimizer at a constant lr, which a range test suggested."""
    rounded = float(f"{lr:.3g}")

    def apply(spec: JobSpec) -> JobSpec:
        optimizer = spec.training.optimizer.model_dump(mode="json")
        return revised(
            spec, remedy={"lr_control": None}, training={"optimizer": optimizer | {"lr": rounded}}
        )

    return Change(
        f"Train at lr {rounded:g}",
        apply,
        "while lr rose the loss fell most steeply there; it is the upper end of what to try",
        "Smith 2017",
    )


def stop_at(step: int) -> Change:
    """No more steps than were good for the held-out loss."""
    return Change(
        f"Stop at step {step}",
        lambda spec: revised(spec, training={"max_steps": step}),
        "the held-out loss was best there",
        "Prechelt 1998",
    )
