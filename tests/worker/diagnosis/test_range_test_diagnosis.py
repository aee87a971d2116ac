"""What is said of a range test, which was made to diverge, and of a guarded run's rollbacks."""

from dataclasses import replace

import numpy as np
import pytest

from contract.diagnosis import Verdict
from contract.merge_patch import apply_merge_patch
from contract.spec import JobSpec
from tests.worker.diagnosis import histories
from tests.worker.diagnosis.histories import constant, cut, make_spec
from worker.diagnosis.diagnose import diagnose
from worker.diagnosis.history import History
from worker.training.records import EndReason, Event

SUGGESTED = Event(200, "lr_suggested", {"end": "diverged", "steepest_step": 120, "lr": 0.012345})
RANGE_TEST = make_spec(
    remedy={"lr_control": {"kind": "range_test"}, "clipping": {"kind": "norm", "max_norm": 2.0}},
    training={"max_steps": 300, "optimizer": {"kind": "sgd", "lr": 0.5, "momentum": 0.9}},
)


def range_test(*events: Event) -> History:
    """A test in which lr rose to 1 over 200 steps, and the loss to a hundred times its start."""
    return replace(
        histories.learned(),
        spec=RANGE_TEST,
        loss_S=np.geomspace(2.0, 200.0, 200),
        lr_S=np.geomspace(1e-6, 1.0, 200),
        grad_norm_S=constant(1e6, 200),
        clip_coef_S=constant(1e-6, 200),
        update_ratio_S=constant(0.9, 200),
        evals=histories.make_evals([200.0], every=200),
        end=EndReason.LR_CONTROL,
        loss_final=200.0,
        events=events,
    )


def test_a_range_test_is_not_judged() -> None:
    """A loss that was made to diverge is no verdict and no finding."""
    diagnosis = diagnose("job", range_test(SUGGESTED))

    assert (diagnosis.verdict, diagnosis.findings) == (Verdict.INCONCLUSIVE, ())
    assert diagnosis.final is True


def test_a_constant_lr_with_that_history_would_be_judged() -> None:
    """It is the range test that excuses this history: without it the run has diverged."""
    plain = replace(range_test(), spec=make_spec())

    assert diagnose("job", plain).verdict is Verdict.DIVERGED


def test_the_summary_says_the_suggestion() -> None:
    """The suggested lr, where it comes from and how the test ended are one sentence."""
    assert diagnose("job", range_test(SUGGESTED)).summary == (
        "The range test suggests lr 0.0123: the smoothed loss fell most steeply at step 120, and "
        "diverged in 200 steps, up to lr 1."
    )


def test_a_test_that_did_not_diverge_says_so() -> None:
    """A test that came to its last step suggests an lr all the same."""
    event = replace(SUGGESTED, detail={**SUGGESTED.detail, "end": "max_steps"})

    assert "did not diverge in 200 steps" in diagnose("job", range_test(event)).summary


def test_the_first_prescription_trains_with_the_suggestion() -> None:
    """Its patch sets lr and ends the test; optimizer and remedies stay as they are."""
    (prescription,) = diagnose("job", range_test(SUGGESTED)).prescriptions
    document = RANGE_TEST.model_dump(mode="json")
    patched = JobSpec.model_validate(apply_merge_patch(document, prescription.patch))

    assert patched.remedy.lr_control is None
    assert patched.remedy.clipping == RANGE_TEST.remedy.clipping
    optimizer = RANGE_TEST.training.optimizer.model_copy(update={"lr": 0.0123})
    assert patched.training.optimizer == optimizer
    assert prescription.rank == 1
    assert prescription.title == "Train at lr 0.0123"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (replace(SUGGESTED, detail={"end": "max_steps"}), "suggests no lr: in 200 steps"),
        (None, "ended early, after 200 steps"),
    ],
)
def test_a_test_without_a_suggestion_prescribes_nothing(event: Event | None, words: str) -> None:
    """Where the loss never fell, or the test ended before its end, there is no lr to train with."""
    diagnosis = diagnose("job", range_test(*([event] if event else [])))

    assert words in diagnosis.summary
    assert diagnosis.prescriptions == ()


def test_a_running_range_test_says_how_far_it_is() -> None:
    """Before its end a test has no suggestion, and says so with the lr it has come to."""
    diagnosis = diagnose("job", cut(range_test(), 100))

    assert "100 steps, up to lr 0.00" in diagnosis.summary
    assert diagnosis.final is False
    assert diagnosis.prescriptions == ()


def rolled_back(*kinds: str) -> History:
    """A run that learned nothing, and these events of it."""
    detail: dict[str, dict[str, float | int | str]] = {
        "rollback": {"to_step": 50, "lr": 0.025, "count": 2, "loss": 9.0},
        "rollbacks_exhausted": {"count": 2},
        "lr_cut": {"lr_before": 0.1, "lr": 0.05},
    }
    events = tuple(Event(100, kind, detail[kind]) for kind in kinds)
    return replace(histories.vanishing(), events=events)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (("rollback",), "; rolled back 2 times, to lr 0.025."),
        (
            ("rollback", "rollbacks_exhausted"),
            "; rolled back 2 times, to lr 0.025, with none left for the next spike.",
        ),
        (("lr_cut",), ""),
        ((), ""),
    ],
)
def test_rollbacks_are_in_the_summary(kinds: tuple[str, ...], words: str) -> None:
    """Rollbacks are said at the end of the sentence; without any it is as ever."""
    usual = diagnose("job", histories.vanishing()).summary

    expected = usual.removesuffix(".") + words if words else usual
    assert diagnose("job", rolled_back(*kinds)).summary == expected


def test_a_single_rollback_is_once() -> None:
    """One rollback is not said as 1 times."""
    event = Event(100, "rollback", {"to_step": 50, "lr": 0.05, "count": 1})

    summary = diagnose("job", replace(histories.learned(), events=(event,))).summary

    assert "; rolled back once, to lr 0.05." in summary
