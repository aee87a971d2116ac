"""How a rule writes down what it found."""

import math
from collections.abc import Mapping

from contract.diagnosis import Finding, FindingCode, Severity
from worker.diagnosis.history import History
from worker.diagnosis.progress import has_failed


def make_finding(  # noqa: PLR0913 - a finding is that many facts, each named by the caller
    code: FindingCode,
    history: History,
    *,
    evidence: Mapping[str, float | None],
    threshold: Mapping[str, float],
    explanation: str,
    first_step: int = 1,
    critical: bool | None = None,
) -> Finding:
    """A finding that lasts to the newest step; critical if the run has failed, unless said."""
    is_critical = has_failed(history) if critical is None else critical
    return Finding(
        code=code,
        severity=Severity.CRITICAL if is_critical else Severity.WARNING,
        first_step=first_step,
        last_step=max(first_step, len(history.loss_S)),
        evidence={name: _finite(value) for name, value in evidence.items()},
        threshold=dict(threshold),
        explanation=explanation,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
