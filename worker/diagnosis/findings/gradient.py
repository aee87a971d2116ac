"""The tutorial's two problems, read from the gradient's flow through time.

Shapes: S steps, T time steps.
"""

from collections.abc import Callable

import numpy as np

from contract.diagnosis import Finding, FindingCode
from worker.diagnosis.findings.finding import make_finding
from worker.diagnosis.history import Floats, History
from worker.diagnosis.measures import WINDOW, flow_ratio, has_learned, median
from worker.diagnosis.progress import BASELINE_BAND, has_failed
from worker.training.records import EndReason, FlowRecord

# A thousandth of the gradient at the far end: the contract's own line.
VANISHED_RATIO = 1e-3
# Without a known dependency, a quarter of the sequence should be in reach (ours).
UNKNOWN_DEPENDENCY_SHARE = 0.25
# A gradient that grows a hundredfold on its way back; 1.0 is flat (Pascanu et al. 2013, section 2).
EXPLODED_RATIO = 1e2
# detectron's hook calls 1e5 exploding in absolute terms; ours is relative to the run's median.
SPIKE_FACTOR = 1e2
_SPIKE_NEEDS_STEPS = 20
_LOSS_WINDOW = 10
# High norms at one step in twenty are no accident (ours).
_OFTEN = 0.05


def needed_reach(history: History) -> int:
    """Time steps that the gradient has to bridge for the task."""
    task = history.task
    if task.dependency is not None:
        return task.dependency
    return max(1, int(UNKNOWN_DEPENDENCY_SHARE * task.seq_len))


def find_vanishing(history: History) -> Finding | None:
    """The gradient dies before it reaches what must be remembered."""
    recent = history.flows[-WINDOW:]
    reach = median([flow.reach_L[0] for flow in recent])
    ratio = median([flow_ratio(flow) for flow in recent])
    if reach is None or ratio is None or ratio > 1:
        return None
    needed = needed_reach(history)
    if reach >= needed and (ratio >= VANISHED_RATIO or history.task.dependency is None):
        return None
    return make_finding(
        FindingCode.VANISHING_GRADIENT,
        history,
        first_step=_first(history, lambda flow: flow.reach_L[0] < needed),
        evidence={"reach": int(reach), "seq_len": history.task.seq_len, "flow_ratio": ratio},
        threshold={"reach": needed, "flow_ratio": VANISHED_RATIO},
        explanation=_explain_vanishing(history, int(reach), ratio),
    )


def _explain_vanishing(history: History, reach: int, ratio: float) -> str:
    seq_len, needed = history.task.seq_len, needed_reach(history)
    if reach >= needed:
        return f"Only {ratio:.1e} of the gradient reaches the first of {seq_len} time steps."
    return (
        f"Only the {reach} most recent of {seq_len} time steps get at least 1 % of the gradient, "
        f"{needed} are needed; {ratio:.1e} of it reaches the first."
    )


def find_exploding(history: History) -> Finding | None:
    """The gradient grows on its way back in time, or jumps far above its usual size."""
    ratio = median([flow_ratio(flow) for flow in _telling_flows(history)])
    # The median of a run that has learned is tiny, and no measure for what came before.
    spike = None if has_learned(history) else _spike(history.grad_norm_S)
    has_grown = ratio is not None and ratio > EXPLODED_RATIO
    if not has_grown and spike is None:
        return None
    step, factor = spike or (1, None)
    explains = has_grown or _is_often_high(history) or _has_harmed(history, step)
    return make_finding(
        FindingCode.EXPLODING_GRADIENT,
        history,
        first_step=_first_growth(history) if has_grown else step,
        evidence={
            "flow_ratio": ratio,
            "grad_norm_max": _largest_finite(history.grad_norm_S),
            "grad_norm_max_over_median": factor,
        },
        threshold={"flow_ratio": EXPLODED_RATIO, "grad_norm_max_over_median": SPIKE_FACTOR},
        explanation=_explain_exploding(history, ratio, factor),
        critical=has_failed(history) and explains,
    )


def _first_growth(history: History) -> int:
    return _first(history, lambda flow: flow_ratio(flow) > EXPLODED_RATIO)


def _is_often_high(history: History) -> bool:
    norms_S = history.grad_norm_S
    usual = median(norms_S.tolist())
    return usual is not None and bool(np.mean(norms_S > SPIKE_FACTOR * usual) > _OFTEN)


def _has_harmed(history: History, step: int) -> bool:
    """Whether the loss is higher now than in the steps before one whose gradient jumped."""
    before = median(history.loss_S[max(0, step - _LOSS_WINDOW) : step].tolist())
    now = median(history.loss_S[-_LOSS_WINDOW:].tolist())
    return before is None or now is None or now > before * (1 + BASELINE_BAND)


def _telling_flows(history: History) -> tuple[FlowRecord, ...]:
    """The first flows of a run that ended non-finite, its last ones being ruins; else the last."""
    is_ruined = history.end is EndReason.NONFINITE
    return history.flows[:WINDOW] if is_ruined else history.flows[-WINDOW:]


def _explain_exploding(history: History, ratio: float | None, factor: float | None) -> str:
    parts = []
    if ratio is not None and ratio > EXPLODED_RATIO:
        seq_len = history.task.seq_len
        parts.append(f"grows {ratio:.1e} times on its way back over {seq_len} steps")
    if factor is not None:
        largest = _largest_finite(history.grad_norm_S)
        parts.append(f"has norms up to {largest:.1e}, {factor:.1e} times its median")
    return f"The gradient {' and '.join(parts)}."


def _spike(grad_norm_S: Floats) -> tuple[int, float] | None:
    """Step of the first norm far above the usual one, and the largest norm over it; or None."""
    finite_S = grad_norm_S[np.isfinite(grad_norm_S)]
    if len(finite_S) < _SPIKE_NEEDS_STEPS or np.median(finite_S) <= 0:
        return None
    over_median_S = np.where(np.isfinite(grad_norm_S), grad_norm_S, np.inf) / np.median(finite_S)
    above = np.flatnonzero(over_median_S > SPIKE_FACTOR)
    largest = float(np.max(finite_S) / np.median(finite_S))
    return (int(above[0]) + 1, largest) if len(above) and largest > SPIKE_FACTOR else None


def _largest_finite(values_S: Floats) -> float | None:
    finite_S = values_S[np.isfinite(values_S)]
    return float(np.max(finite_S)) if len(finite_S) else None


def _first(history: History, shows: Callable[[FlowRecord], bool]) -> int:
    return next((flow.step for flow in history.flows if shows(flow)), 1)
