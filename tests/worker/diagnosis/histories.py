"""Hand-made histories of recall over 30 steps, each telling one story.

Shapes: S steps, E evaluations, F flow records, L layers, T time steps.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.spec import JobSpec
from worker.datasets.task import Task
from worker.diagnosis.history import History
from worker.training.records import EndReason, EvalRecord, FlowRecord

BASELINE = math.log(8)
STEPS, EVAL_EVERY, FLOW_EVERY = 1000, 100, 20
TASK = Task("cross_entropy", 10, 8, 30, 29, BASELINE, BASELINE / 2)
CLIPPED = {"remedy": {"clipping": {"kind": "norm", "max_norm": 1.0}}}


def make_spec(**parts: dict[str, Any]) -> JobSpec:
    """A tanh network that is to recall over 30 steps; `parts` replace parts of the spec."""
    training = {"max_steps": STEPS, "eval_every": EVAL_EVERY}
    whole = {
        "dataset": {"kind": "delayed_recall", "seq_len": 30},
        "cell": {"kind": "rnn"},
        "training": training,
        "diagnostics": {"flow_every": FLOW_EVERY},
    }
    return JobSpec.model_validate(whole | parts)


def make_evals(val_loss_E: Sequence[float], every: int = EVAL_EVERY) -> tuple[EvalRecord, ...]:
    """One evaluation every so many steps."""
    return tuple(
        EvalRecord(step=every * place, val_loss=loss, val_metric=None)
        for place, loss in enumerate(val_loss_E, start=1)
    )


def make_flows(
    ratio: float = 0.5, reach: int = 30, num_flows: int = 51, **activity: float
) -> tuple[FlowRecord, ...]:
    """The same flow at step 1 and every 20 steps; norm `ratio` at time step 1, 1 at the last."""
    norms_LT = np.geomspace(ratio, 1.0, TASK.seq_len)[np.newaxis]
    return tuple(
        FlowRecord(
            step=max(1, FLOW_EVERY * place),
            grad_norm_LT=norms_LT,
            weight_term_norm_LT=norms_LT,
            reach_L=(reach,),
            spectral_radius=1.0,
            saturation=activity.get("saturation", 0.02),
            dead_fraction=activity.get("dead_fraction"),
        )
        for place in range(num_flows)
    )


def constant(value: float, steps: int = STEPS) -> NDArray[np.float64]:
    """The same value at every step."""
    return np.full(steps, value)


def learned() -> History:
    """All is well: the loss falls to a hundredth of the baseline, nothing else stands out."""
    return History(
        spec=make_spec(),
        task=TASK,
        loss_S=np.geomspace(BASELINE, 0.02, STEPS),
        lr_S=constant(1e-3),
        grad_norm_S=constant(0.5),
        clip_coef_S=constant(1.0),
        update_ratio_S=constant(1e-3),
        evals=make_evals(np.geomspace(BASELINE, 0.02, 10).tolist()),
        flows=make_flows(),
        end=EndReason.MAX_STEPS,
        loss_final=0.02,
    )


def stagnated() -> History:
    """Nothing is learned to the end, and nothing shows why."""
    return replace(
        learned(),
        loss_S=constant(BASELINE),
        evals=make_evals([BASELINE] * 10),
        loss_final=BASELINE,
    )


def vanishing() -> History:
    """A stuck run whose gradient reaches 9 of 30 time steps."""
    return replace(stagnated(), flows=make_flows(ratio=1e-7, reach=9))


def exploding_then_nonfinite() -> History:
    """Without clipping the gradient grows until nothing is finite any more, at step 15."""
    growing_S = np.append(np.geomspace(1e2, 1e8, 14), np.inf)
    return replace(
        stagnated(),
        loss_S=np.append(constant(3.0, 14), np.nan),
        lr_S=constant(1e-3, 15),
        grad_norm_S=growing_S,
        clip_coef_S=constant(1.0, 15),
        update_ratio_S=constant(1e-2, 15),
        evals=(),
        flows=make_flows(ratio=1e4, num_flows=1),
        end=EndReason.NONFINITE,
        loss_final=math.nan,
    )


def exploding_but_clipped() -> History:
    """The gradient grows ten-thousandfold on its way back; clipping keeps the stuck run finite."""
    return replace(
        stagnated(),
        spec=make_spec(**CLIPPED),
        grad_norm_S=constant(1e4),
        clip_coef_S=constant(1e-4),
        flows=make_flows(ratio=1e4),
    )


def saturated() -> History:
    """A stuck run with nine tenths of the activations at their flat ends."""
    return replace(stagnated(), flows=make_flows(saturation=0.9))


def dead_units() -> History:
    """A stuck ReLU run with four fifths of its units silent."""
    spec = make_spec(remedy={"activation": {"kind": "relu"}})
    return replace(stagnated(), spec=spec, flows=make_flows(dead_fraction=0.8))


def over_clipped() -> History:
    """A stuck run that keeps a thousandth of every gradient, though none explodes."""
    spec = make_spec(remedy={"clipping": {"kind": "norm", "max_norm": 5e-4}})
    return replace(stagnated(), spec=spec, clip_coef_S=constant(1e-3))


def relapsed() -> History:
    """Learned by step 500, then thrown back to the baseline and staying there."""
    loss_S = np.append(np.geomspace(BASELINE, 0.02, 500), constant(BASELINE, 500))
    val_losses = [*np.geomspace(BASELINE, 0.02, 5).tolist(), *[BASELINE] * 5]
    return replace(learned(), loss_S=loss_S, evals=make_evals(val_losses), loss_final=BASELINE)


def lr_too_high() -> History:
    """A stuck run whose updates are a tenth of the parameters."""
    return replace(stagnated(), lr_S=constant(0.1), update_ratio_S=constant(0.1))


def lr_too_low() -> History:
    """A stuck run whose updates are a hundred-thousandth of the parameters."""
    return replace(stagnated(), lr_S=constant(1e-5), update_ratio_S=constant(1e-5))


def overfitting() -> History:
    """Training loss falls to the end, held-out loss is best at step 300 and rises from there."""
    val_losses = [1.9, 1.6, 1.5, 1.55, 1.6, 1.7, 1.8, 1.9, 2.0, 2.1]
    return replace(learned(), evals=make_evals(val_losses), loss_final=2.1)


def too_short() -> History:
    """The budget ends after 100 steps and a single evaluation."""
    spec = make_spec(training={"max_steps": 100, "eval_every": EVAL_EVERY})
    return replace(cut(stagnated(), 100), spec=spec, end=EndReason.MAX_STEPS, loss_final=BASELINE)


def still_improving() -> History:
    """Not learned at the end of the budget, but the held-out loss falls with every evaluation."""
    falling_E = np.linspace(2.0, 1.4, 10)
    return replace(
        learned(),
        loss_S=np.linspace(BASELINE, 1.4, STEPS),
        evals=make_evals(falling_E.tolist()),
        loss_final=1.4,
    )


def cut(history: History, steps: int) -> History:
    """The same run while it was still running, after so many steps."""
    return replace(
        history,
        loss_S=history.loss_S[:steps],
        lr_S=history.lr_S[:steps],
        grad_norm_S=history.grad_norm_S[:steps],
        clip_coef_S=history.clip_coef_S[:steps],
        update_ratio_S=history.update_ratio_S[:steps],
        evals=tuple(record for record in history.evals if record.step <= steps),
        flows=tuple(record for record in history.flows if record.step <= steps),
        end=None,
        loss_final=None,
    )


def running_and_too_early() -> History:
    """A run that will not learn, seen after 150 of its 1,000 steps."""
    return cut(vanishing(), 150)
