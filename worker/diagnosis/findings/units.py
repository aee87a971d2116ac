"""Rules on units and on clipping: saturated, dead, cut at most steps."""

from contract.diagnosis import Finding, FindingCode
from worker.diagnosis.findings.finding import make_finding
from worker.diagnosis.findings.gradient import find_exploding
from worker.diagnosis.history import History
from worker.diagnosis.measures import WINDOW, clip_fraction, median
from worker.diagnosis.progress import has_failed

# A healthy tanh network shows 2-3 % (makemore, part 3); gates rest at their ends more often.
SATURATED_SHARE = 0.5
# Half of the units silent for every input of a batch (ours; a healthy ReLU network shows few).
DEAD_SHARE = 0.5
# "More than 50 % of updates clipped" is called extremely aggressive by google-research's playbook.
CLIPPED_SHARE = 0.5
# A median coefficient below this leaves a hundredth of each gradient (ours).
CLIPPED_COEF = 0.01


def find_saturated(history: History) -> Finding | None:
    """Most activations sit where their function is flat, so little gradient passes them."""
    share = median([flow.saturation for flow in history.flows[-WINDOW:]])
    if share is None or share <= SATURATED_SHARE:
        return None
    return make_finding(
        FindingCode.SATURATED,
        history,
        first_step=_first(history, "saturation", SATURATED_SHARE),
        evidence={"saturation": share},
        threshold={"saturation": SATURATED_SHARE},
        explanation=f"{100 * share:.0f} % of activations are at the flat ends of their function.",
        # A gate at its end may do its work: a chrono start puts most of them there.
        critical=has_failed(history) and history.spec.cell.kind == "rnn",
    )


def find_dead_units(history: History) -> Finding | None:
    """Most units are 0 for every input and time step, so they never learn again: ReLU, modReLU."""
    share = median([flow.dead_fraction for flow in history.flows[-WINDOW:]])
    if share is None or share <= DEAD_SHARE:
        return None
    return make_finding(
        FindingCode.DEAD_UNITS,
        history,
        first_step=_first(history, "dead_fraction", DEAD_SHARE),
        evidence={"dead_fraction": share},
        threshold={"dead_fraction": DEAD_SHARE},
        explanation=f"{100 * share:.0f} % of the units are 0 for the whole batch and every step.",
    )


def find_over_clipped(history: History) -> Finding | None:
    """Most updates are cut; critical only where what is left of them is next to nothing."""
    fraction, coef = clip_fraction(history), median(history.clip_coef_S.tolist())
    if fraction is None or coef is None or fraction <= CLIPPED_SHARE:
        return None
    is_starved = coef < CLIPPED_COEF and find_exploding(history) is None
    return make_finding(
        FindingCode.OVER_CLIPPED,
        history,
        evidence={"clip_fraction": fraction, "clip_coef_median": coef},
        threshold={"clip_fraction": CLIPPED_SHARE, "clip_coef_median": CLIPPED_COEF},
        explanation=(
            f"{100 * fraction:.0f} % of the steps were clipped; the median step kept "
            f"{100 * coef:.2g} % of its gradient."
        ),
        critical=is_starved and has_failed(history),
    )


def _first(history: History, measure: str, limit: float) -> int:
    """The first step whose flow record shows the measure above its limit."""
    for flow in history.flows:
        value = getattr(flow, measure)
        if value is not None and value > limit:
            return flow.step
    return 1
