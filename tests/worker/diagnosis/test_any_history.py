"""Whatever training met, findings and verdict agree with each other.

Shapes: S steps, L layers, T time steps.
"""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from contract.diagnosis import Severity, Verdict
from tests.contract.drawn_specs import drawn_specs
from worker.datasets.task import Task
from worker.diagnosis.diagnose import diagnose
from worker.diagnosis.history import Floats, History
from worker.training.records import EndReason, EvalRecord, FlowRecord

_ODD = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 5e-324, 1.7e308, 1.0])
_VALUES = _ODD | st.floats(0, 10)
_ACTIVITY = st.none() | _VALUES


@st.composite
def _series(draw: st.DrawFn, size: int) -> Floats:
    """A few drawn values, over and over, so that long runs are drawn quickly."""
    values = draw(st.lists(_VALUES, min_size=1, max_size=6))
    return np.resize(np.array(values, dtype=np.float64), size)


@st.composite
def _flow(draw: st.DrawFn, step: int) -> FlowRecord:
    norms_LT = draw(_series(2 * 4)).reshape(2, 4)
    return FlowRecord(
        step=step,
        grad_norm_LT=norms_LT,
        weight_term_norm_LT=norms_LT,
        reach_L=(draw(st.integers(0, 4)), 4),
        spectral_radius=draw(_ACTIVITY),
        saturation=draw(_ACTIVITY),
        dead_fraction=draw(_ACTIVITY),
    )


@st.composite
def _history(draw: st.DrawFn) -> History:
    steps = draw(st.sampled_from([0, 1, 9, 40, 700]))
    end = draw(st.none() | st.sampled_from(list(EndReason)))
    baseline = draw(st.floats(1e-6, 1e6))
    return History(
        spec=draw(drawn_specs()),
        task=Task(
            "squared_error", 1, 1, 4, draw(st.none() | st.integers(1, 3)), baseline, baseline / 2,
            draw(st.floats(1e-6, 1e6)),
        ),
        loss_S=draw(_series(steps)),
        lr_S=draw(_series(steps)),
        grad_norm_S=draw(_series(steps)),
        clip_coef_S=draw(_series(steps)),
        update_ratio_S=draw(_series(steps)),
        evals=tuple(
            EvalRecord(100 * place, draw(_VALUES), None)
            for place in range(1, 1 + draw(st.integers(0, 7)))
        ),
        flows=tuple(draw(_flow(1 + 20 * place)) for place in range(draw(st.integers(0, 3)))),
        end=end,
        loss_final=draw(_VALUES) if end else None,
    )  # fmt: skip


@given(_history())
def test_verdict_is_the_first_critical_finding(history: History) -> None:
    """With a critical finding the verdict is its code; without one it is one of the two words."""
    diagnosis = diagnose("job", history)
    critical = [f.code.value for f in diagnosis.findings if f.severity is Severity.CRITICAL]
    words = {Verdict.HEALTHY, Verdict.INCONCLUSIVE}

    assert diagnosis.verdict.value in critical[:1] or (not critical and diagnosis.verdict in words)


@given(_history())
def test_findings_lie_within_the_run(history: History) -> None:
    """A finding's first step is at least 1 and not after its last one."""
    for finding in diagnose("job", history).findings:
        assert 1 <= finding.first_step <= finding.last_step
