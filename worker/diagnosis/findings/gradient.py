"""The tutorial's two problems, read from the gradient's flow through time.

Shapes: S steps, T time steps.
"""

from collections.abc import Callable

import numpy as np

from contract.diagnosis import Finding, FindingCode
from worker.diagnosis.findings.finding import make_finding
from worker.diagnosis.history import Floats, History
from worker.diagnosis.measures import WINDOW, flow_ratio, has_learned, median
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
        explanation=(
            f"Only the {int(reach)} most recent of {history.task.seq_len} time steps get at least "
            f"1 % of the gradient, {needed} are needed; {ratio:.1e} of it reaches the first."
        ),
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
    return make_finding(
        FindingCode.EXPLODING_GRADIENT,
        history,
        first_step=1 if has_grown else step,
        evidence={
            "flow_ratio": ratio,
            "grad_norm_max": _largest_finite(history.grad_norm_S),
            "grad_norm_max_over_median": factor,
        },
        threshold={"flow_ratio": EXPLODED_RATIO, "grad_norm_max_over_median": SPIKE_FACTOR},
        explanation=_explain_exploding(history, ratio, factor),
    )


def _telling_flows(history: History) -> tuple[FlowRecord, ...]:
    """The first flows of a run that ended non-finite, its last ones being ruins; else the last."""
    is_ruined = history.end is EndReason.NONFINITE
    return history.flows[:WINDOW] if is_ruined else history.flows[-WINDOW:]


def _explain_exploding(history: History, ratio: float | None, factor: float | None) -> str:
    parts = []
    if ratio is not None and ratio > EXPLODED_RATIO:
        seq_len = history.task.seq_len
        parts.append(f"The gradient grows {ratio:.1e} times on its way back over {seq_len} steps.")
    if factor is not None:
        largest = _largest_finite(history.grad_norm_S)
        parts.append(f"Its norm reaches {largest:.1e}, {factor:.1e} times its median.")
    return " ".join(parts)


def _spike(grad_norm_S: Floats) -> tuple[int, float] | None:
    """Step and size, over the median, of the first norm far above it; None if there is none."""
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
