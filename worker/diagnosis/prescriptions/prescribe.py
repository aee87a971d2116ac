"""Ranked prescriptions: each finding's changes in turn, no spec proposed twice."""

from typing import Final

from contract.diagnosis import Finding, FindingCode, Prescription, Severity, Verdict
from contract.merge_patch import make_merge_patch
from contract.spec import JobSpec
from worker.diagnosis.history import History
from worker.diagnosis.prescriptions.change import Change
from worker.diagnosis.prescriptions.ranking import CHANGES_FOR
from worker.diagnosis.prescriptions.training_changes import LONGER, train_at

_AT_MOST: Final = 6


def prescribe(
    history: History, verdict: Verdict, findings: tuple[Finding, ...]
) -> tuple[Prescription, ...]:
    """What to change, most promising first; nothing where nothing has to be changed.

    The critical findings are answered, the gravest first. A run that ended while it was still
    learning is to go on, or else its warnings are to be answered. Of a healthy run's warnings only
    overfitting is, for that costs it something.
    """
    is_unfinished = verdict is Verdict.INCONCLUSIVE and history.end is not None
    wanted: list[tuple[Change, Finding | None]] = [
        (change, finding)
        for finding in findings
        if is_unfinished or _is_answered(finding)
        for change in CHANGES_FOR[finding.code](history)
    ]
    if is_unfinished:
        wanted.insert(0, (LONGER, None))
    return _ranked(history.spec, wanted)


def prescribe_lr(spec: JobSpec, lr: float) -> tuple[Prescription, ...]:
    """Training with the lr that a range test suggests."""
    return _ranked(spec, [(train_at(lr), None)])


def _is_answered(finding: Finding) -> bool:
    is_critical = finding.severity is Severity.CRITICAL
    return is_critical or finding.code is FindingCode.OVERFITTING


def _ranked(spec: JobSpec, wanted: list[tuple[Change, Finding | None]]) -> tuple[Prescription, ...]:
    """One prescription for each different spec, in the order wanted."""
    by_spec: dict[str, Prescription] = {}
    for change, finding in wanted:
        new = change.apply(spec)
        key = new.model_dump_json()
        if new == spec:
            continue
        if key in by_spec:
            by_spec[key] = _also_because(by_spec[key], finding)
        elif len(by_spec) < _AT_MOST:
            by_spec[key] = _prescription(len(by_spec) + 1, spec, new, change, finding)
    return tuple(by_spec.values())


def _prescription(
    rank: int, old: JobSpec, new: JobSpec, change: Change, finding: Finding | None
) -> Prescription:
    numbers = finding.explanation if finding else ""
    return Prescription(
        rank=rank,
        title=change.title,
        because=(finding.code,) if finding else (),
        patch=make_merge_patch(old.model_dump(mode="json"), new.model_dump(mode="json")),
        reason=f"{numbers} {change.why[0].upper()}{change.why[1:]}.".strip(),
        source=change.source,
    )


def _also_because(prescription: Prescription, finding: Finding | None) -> Prescription:
    if finding is None or finding.code in prescription.because:
        return prescription
    return prescription.model_copy(update={"because": (*prescription.because, finding.code)})
