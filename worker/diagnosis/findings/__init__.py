"""Every rule: one pure function a finding code, gravest first."""

from collections.abc import Callable

from contract.diagnosis import Finding, FindingCode, Severity
from worker.diagnosis.findings.gradient import find_exploding, find_vanishing
from worker.diagnosis.findings.learning_rate import find_lr_too_high, find_lr_too_low
from worker.diagnosis.findings.outcome import find_diverged, find_overfitting, find_stagnated
from worker.diagnosis.findings.units import find_dead_units, find_over_clipped, find_saturated
from worker.diagnosis.history import History

RULES: tuple[Callable[[History], Finding | None], ...] = (
    find_diverged,
    find_exploding,
    find_vanishing,
    find_saturated,
    find_dead_units,
    find_stagnated,
    find_over_clipped,
    find_lr_too_high,
    find_lr_too_low,
    find_overfitting,
)
_CAUSES_AFTER_STAGNATION = frozenset(
    {
        FindingCode.OVER_CLIPPED,
        FindingCode.LR_TOO_HIGH,
        FindingCode.LR_TOO_LOW,
        FindingCode.OVERFITTING,
    }
)


def find_all(history: History) -> tuple[Finding, ...]:
    """All that is wrong with the run, gravest first.

    Stagnation names no cause, so it only warns where a cause that comes after it is critical.
    """
    found = [finding for rule in RULES if (finding := rule(history)) is not None]
    has_cause = any(
        finding.severity is Severity.CRITICAL and finding.code in _CAUSES_AFTER_STAGNATION
        for finding in found
    )
    return tuple(
        finding.model_copy(update={"severity": Severity.WARNING})
        if has_cause and finding.code is FindingCode.STAGNATED
        else finding
        for finding in found
    )
