"""From a run's history to its diagnosis: find, judge, say it in a sentence, prescribe."""

import math

import numpy as np

from contract.diagnosis import Diagnosis, Finding, FindingCode, Measures, Severity, Verdict
from worker.diagnosis.findings import find_all
from worker.diagnosis.history import History
from worker.diagnosis.measures import has_learned, measure
from worker.diagnosis.prescriptions import prescribe
from worker.diagnosis.progress import steps_until_judged
from worker.diagnosis.range_test import diagnose_range_test, is_range_test


def diagnose(job_id: str, history: History) -> Diagnosis:
    """Why the run went as it did, and what to do; final once training has ended.

    Args:
        job_id: the job's id.
        history: the run so far; any value in it may be inf or nan.
    """
    # Ruined runs hold values whose quotients overflow; what is not finite is left out at the end.
    with np.errstate(all="ignore"):
        return _diagnose(job_id, history)


def _diagnose(job_id: str, history: History) -> Diagnosis:
    if is_range_test(history):
        return diagnose_range_test(job_id, history)
    findings = find_all(history)
    verdict = judge(history, findings)
    measures = measure(history)
    return Diagnosis(
        job_id=job_id,
        final=history.end is not None,
        verdict=verdict,
        summary=_with_rollbacks(history, _summarise(history, verdict, findings, measures)),
        findings=findings,
        measures=measures,
        prescriptions=prescribe(history, verdict, findings),
    )


def judge(history: History, findings: tuple[Finding, ...]) -> Verdict:
    """The gravest critical finding; else healthy if the task is learned, else inconclusive."""
    critical = [finding for finding in findings if finding.severity is Severity.CRITICAL]
    if critical:
        return Verdict(critical[0].code)
    return Verdict.HEALTHY if has_learned(history) else Verdict.INCONCLUSIVE


def _summarise(
    history: History, verdict: Verdict, findings: tuple[Finding, ...], measures: Measures
) -> str:
    steps = len(history.loss_S)
    if verdict is Verdict.INCONCLUSIVE:
        return _summarise_inconclusive(history, measures)
    if verdict is Verdict.HEALTHY:
        return (
            f"It learns: held-out loss {_shown(measures.loss_final)} after {steps} steps, against "
            f"{measures.loss_baseline:.4g} for doing nothing."
        )
    gravest = next(finding for finding in findings if finding.code.value == verdict.value)
    says_the_loss = gravest.code is FindingCode.STAGNATED
    if measures.loss_final is None or says_the_loss:
        return gravest.explanation
    return (
        f"{gravest.explanation.removesuffix('.')}; held-out loss is {_shown(measures.loss_final)} "
        f"after {steps} steps, against {measures.loss_baseline:.4g} for doing nothing."
    )


def _summarise_inconclusive(history: History, measures: Measures) -> str:
    steps, missing = len(history.loss_S), steps_until_judged(history)
    if missing > 0:
        return f"Too little is known after {steps} steps: a judgement needs {missing} more."
    more = max(steps, history.spec.training.eval_every)
    return (
        f"Not learned after {steps} steps, but held-out loss {_shown(measures.loss_final)} is "
        f"still falling: {more} more steps would tell."
    )


def _with_rollbacks(history: History, summary: str) -> str:
    """The summary, with how often the run was rolled back, if it ever was."""
    rollbacks = [event for event in history.events if event.kind == "rollback"]
    if not rollbacks:
        return summary
    count, lr = (rollbacks[-1].detail[name] for name in ("count", "lr"))
    times = "once" if count == 1 else f"{count} times"
    is_exhausted = any(event.kind == "rollbacks_exhausted" for event in history.events)
    left = ", with none left for the next spike" if is_exhausted else ""
    return f"{summary.removesuffix('.')}; rolled back {times}, to lr {lr:.3g}{left}."


def _shown(value: float | None) -> str:
    return "not finite" if value is None or not math.isfinite(value) else f"{value:.4g}"
