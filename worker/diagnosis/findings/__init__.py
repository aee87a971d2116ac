"""Every rule: one pure function a finding code, gravest first."""

from collections.abc import Callable

from contract.diagnosis import Finding
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


def find_all(history: History) -> tuple[Finding, ...]:
    """All that is wrong with the run, gravest first."""
    found = [rule(history) for rule in RULES]
    return tuple(finding for finding in found if finding is not None)
