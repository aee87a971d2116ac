import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contract.diagnosis import Finding, FindingCode, Severity
from tests.worker.diagnosis import histories
from worker.diagnosis.findings import find_all
from worker.diagnosis.history import History

SHOWN_BY = {
    FindingCode.DIVERGED: histories.exploding_then_nonfinite,
    FindingCode.EXPLODING_GRADIENT: histories.exploding_but_clipped,
    FindingCode.VANISHING_GRADIENT: histories.vanishing,
    FindingCode.SATURATED: histories.saturated,
    FindingCode.DEAD_UNITS: histories.dead_units,
    FindingCode.STAGNATED: histories.stagnated,
    FindingCode.OVER_CLIPPED: histories.over_clipped,
    FindingCode.LR_TOO_HIGH: histories.lr_too_high,
    FindingCode.LR_TOO_LOW: histories.lr_too_low,
    FindingCode.OVERFITTING: histories.overfitting,
}


def found(history: History) -> dict[FindingCode, Finding]:
    """All findings of a history by their codes."""
    return {finding.code: finding for finding in find_all(history)}


@pytest.mark.parametrize("code", FindingCode)
def test_each_trouble_is_found_on_the_run_that_has_it(code: FindingCode) -> None:
    """Every code has a run that shows it, as a critical finding with evidence and threshold."""
    finding = found(SHOWN_BY[code]())[code]

    assert finding.severity is Severity.CRITICAL
    assert finding.evidence
    assert finding.threshold
    assert any(character.isdigit() for character in finding.explanation)
    assert 1 <= finding.first_step <= finding.last_step


def test_run_that_learns_has_no_findings() -> None:
    """Where all is well nothing is found."""
    assert found(histories.learned()) == {}


@pytest.mark.parametrize(("reach", "is_found"), [(28, True), (29, False)])
def test_vanishing_is_measured_by_what_the_task_needs(reach: int, is_found: bool) -> None:  # noqa: FBT001 - a table's column
    """A reach one step short of the dependency is vanishing; just enough is not."""
    history = replace(histories.stagnated(), flows=histories.make_flows(ratio=0.01, reach=reach))

    assert (FindingCode.VANISHING_GRADIENT in found(history)) is is_found


def test_vanishing_without_a_known_dependency_needs_a_quarter() -> None:
    """Where the dependency is not known a quarter of the sequence must be in reach."""
    task = replace(histories.TASK, dependency=None)
    history = replace(histories.vanishing(), task=task)

    short = replace(history, flows=histories.make_flows(ratio=1e-7, reach=6))

    assert FindingCode.VANISHING_GRADIENT not in found(history)
    assert found(short)[FindingCode.VANISHING_GRADIENT].threshold["reach"] == 7


@pytest.mark.parametrize(("ratio", "is_found"), [(99.0, False), (101.0, True)])
def test_exploding_begins_at_a_hundredfold(ratio: float, is_found: bool) -> None:  # noqa: FBT001 - a table's column
    """A gradient that grows a hundredfold on its way back is exploding, a little less is not."""
    history = replace(histories.stagnated(), flows=histories.make_flows(ratio=ratio))

    assert (FindingCode.EXPLODING_GRADIENT in found(history)) is is_found


def test_growth_is_dated_to_its_first_record() -> None:
    """A gradient that begins to grow later is found from that record on."""
    flows = histories.make_flows()[:40] + histories.make_flows(ratio=1e4)[40:]
    history = replace(histories.stagnated(), flows=flows)

    assert found(history)[FindingCode.EXPLODING_GRADIENT].first_step == flows[40].step


def test_far_end_without_gradient_is_said_as_it_is() -> None:
    """Where enough steps are in reach but the first gets next to nothing, only that is said."""
    history = replace(histories.stagnated(), flows=histories.make_flows(ratio=1e-7, reach=29))

    explanation = found(history)[FindingCode.VANISHING_GRADIENT].explanation

    assert explanation == "Only 1.0e-07 of the gradient reaches the first of 30 time steps."


def test_single_spike_is_found_with_its_step() -> None:
    """A norm far above the median is found at the step where it was."""
    norms = histories.constant(0.5)
    norms[411] = 500.0
    history = replace(histories.stagnated(), grad_norm_S=norms)

    finding = found(history)[FindingCode.EXPLODING_GRADIENT]

    assert finding.first_step == 412
    assert finding.evidence["grad_norm_max_over_median"] == 1000.0


def test_diverged_needs_no_infinity() -> None:
    """A loss over four times its start is divergence, from its first such step on."""
    losses = histories.constant(1.0)
    losses[600:] = 4.1
    history = replace(histories.stagnated(), loss_S=losses)

    finding = found(history)[FindingCode.DIVERGED]

    assert finding.first_step == 601
    assert finding.evidence["loss_recent"] == pytest.approx(4.1)


def test_relapse_to_a_small_loss_is_no_divergence() -> None:
    """From 1e-5 to 1e-4 is ten times as much, and yet far below the start."""
    losses = np.geomspace(2.0, 1e-5, histories.STEPS)
    losses[-50:] = 1e-4

    assert FindingCode.DIVERGED not in found(replace(histories.learned(), loss_S=losses))


def test_clipping_at_most_steps_is_only_a_warning_if_it_learns() -> None:
    """A run that learns carries over-clipping as a warning."""
    spec = histories.make_spec(**histories.CLIPPED)
    history = replace(histories.learned(), spec=spec, clip_coef_S=histories.constant(0.3))

    assert found(history)[FindingCode.OVER_CLIPPED].severity is Severity.WARNING


def test_clipping_is_not_blamed_for_an_explosion() -> None:
    """Where the gradient explodes, clipping it is the cure and no critical finding."""
    finding = found(histories.exploding_but_clipped())[FindingCode.OVER_CLIPPED]

    assert finding.severity is Severity.WARNING


def test_jumping_loss_tells_of_a_high_lr() -> None:
    """A loss that jumps three times in a thousand steps is found even with usual updates."""
    losses = histories.constant(1.0)
    losses[[200, 400, 600]] = 10.0
    history = replace(histories.stagnated(), loss_S=losses)

    assert found(history)[FindingCode.LR_TOO_HIGH].evidence["spikes_per_1000_steps"] == 3.0


def test_two_jumps_are_chance() -> None:
    """Two jumps tell nothing, however short the run."""
    losses = histories.constant(1.0)
    losses[[200, 400]] = 10.0

    assert FindingCode.LR_TOO_HIGH not in found(replace(histories.stagnated(), loss_S=losses))


def test_evidence_that_is_not_finite_is_null() -> None:
    """A finding on a ruined run holds no inf or nan."""
    for finding in found(histories.exploding_then_nonfinite()).values():
        values = [value for value in finding.evidence.values() if value is not None]
        assert all(math.isfinite(value) for value in values)


@pytest.mark.parametrize("code", FindingCode)
def test_every_finding_stands_in_the_docs(code: FindingCode) -> None:
    """docs/diagnosis.md has a section for every code."""
    page = (Path(__file__).parents[3] / "docs" / "diagnosis.md").read_text()

    assert f"### `{code}`" in page


def test_refused_updates_say_nothing_of_the_lr() -> None:
    """Updates of 0, refused because nothing was finite, do not make an lr too low."""
    history = replace(
        histories.exploding_then_nonfinite(),
        loss_S=histories.constant(math.nan, 15),
        update_ratio_S=histories.constant(0.0, 15),
    )

    assert FindingCode.LR_TOO_LOW not in found(history)
