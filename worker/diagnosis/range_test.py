"""The diagnosis of a range test: a measurement, made to diverge, in which nothing is judged."""

from contract.diagnosis import Diagnosis, Verdict
from contract.spec import RangeTest
from worker.diagnosis.history import History
from worker.diagnosis.measures import measure
from worker.diagnosis.prescriptions import prescribe_lr
from worker.training.records import Event


def is_range_test(history: History) -> bool:
    """Whether the run looks for an lr instead of training with one."""
    return isinstance(history.spec.remedy.lr_control, RangeTest)


def diagnose_range_test(job_id: str, history: History) -> Diagnosis:
    """The suggested lr in words, and as a patch that trains with it.

    There are no findings: with an lr that rises until the loss diverges, each of them would say
    something of the test, and nothing of the spec.
    """
    suggestion = next((event for event in history.events if event.kind == "lr_suggested"), None)
    lr = _number(suggestion, "lr")
    return Diagnosis(
        job_id=job_id,
        final=history.end is not None,
        verdict=Verdict.INCONCLUSIVE,
        summary=_summarise(history, suggestion, lr),
        findings=(),
        measures=measure(history),
        prescriptions=() if lr is None else prescribe_lr(history.spec, lr),
    )


def _summarise(history: History, suggestion: Event | None, lr: float | None) -> str:
    steps = len(history.loss_S)
    so_far = f"{steps} steps" + (f", up to lr {history.lr_S[-1]:.3g}" if steps else "")
    if suggestion is None and history.end is None:
        return f"The range test has run for {so_far}; it suggests an lr at its end."
    if suggestion is None:
        return f"The range test ended early, after {so_far}, and suggests no lr."
    if lr is None:
        return f"The range test suggests no lr: in {so_far}, the smoothed loss never fell."
    outcome = "diverged" if suggestion.detail["end"] == "diverged" else "did not diverge"
    return (
        f"The range test suggests lr {lr:.3g}: the smoothed loss fell most steeply at step "
        f"{suggestion.detail['steepest_step']}, and {outcome} in {so_far}."
    )


def _number(event: Event | None, name: str) -> float | None:
    value = event.detail.get(name) if event else None
    return None if value is None else float(value)
