"""What a prescription may change, whatever the spec that failed."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from contract.diagnosis import Finding, FindingCode, Prescription, Severity, Verdict
from contract.merge_patch import apply_merge_patch
from contract.spec import JobSpec
from tests.contract.drawn_specs import drawn_specs
from tests.experiments.table import EXPERIMENTS
from tests.worker.diagnosis import histories
from tests.worker.diagnosis.histories import TASK, make_spec
from worker.diagnosis.diagnose import diagnose
from worker.diagnosis.history import History
from worker.diagnosis.prescriptions import prescribe


def prescribed(history: History, code: FindingCode) -> tuple[Prescription, ...]:
    """What is prescribed against one critical finding alone."""
    finding = Finding(
        code=code,
        severity=Severity.CRITICAL,
        first_step=1,
        last_step=300,
        evidence={},
        threshold={},
        explanation="It fails.",
    )
    return prescribe(history, Verdict(code.value), (finding,))


def patched(spec: JobSpec, prescription: Prescription) -> JobSpec:
    """The spec that a fork would run."""
    stored = spec.model_dump(mode="json")
    return JobSpec.model_validate(apply_merge_patch(stored, prescription.patch))


def length_of(seq_len: int, dataset: dict[str, object], **parts: dict[str, object]) -> History:
    """A run whose gradient vanished, on another task."""
    task = replace(TASK, seq_len=seq_len, dependency=seq_len - 1)
    return replace(histories.vanishing(), spec=make_spec(dataset=dataset, **parts), task=task)


def first_spec(history: History) -> JobSpec:
    """The spec of the first prescription."""
    return patched(history.spec, diagnose("job", history).prescriptions[0])


@given(drawn_specs(), st.sampled_from(FindingCode))
def test_there_are_two_ways_out_of_every_problem(spec: JobSpec, code: FindingCode) -> None:
    """Whatever the spec has tried already, at least two changes are left."""
    assert len(prescribed(replace(histories.overfitting(), spec=spec), code)) >= 2


@given(drawn_specs(), st.sampled_from(FindingCode))
def test_what_is_being_asked_is_never_changed(spec: JobSpec, code: FindingCode) -> None:
    """Dataset, seed, name and device stay as the client wants them."""
    for prescription in prescribed(replace(histories.overfitting(), spec=spec), code):
        result = patched(spec, prescription)
        assert (result.dataset, result.name, result.run) == (spec.dataset, spec.name, spec.run)
        assert result.training.seed == spec.training.seed


def test_adding_needs_a_gru_and_the_steps_it_takes() -> None:
    """First comes a GRU at lr 0.005; a budget in which it was never seen to learn is raised."""
    spec = first_spec(length_of(100, {"kind": "adding", "seq_len": 100}))

    assert spec.cell.kind == "gru"
    assert spec.training.optimizer.lr == 0.005
    assert spec.training.max_steps == 1_200


def test_copying_needs_a_network_that_is_kept_orthogonal() -> None:
    """It is the one that experiment E9a shows to learn it, and gets the steps that this takes."""
    spec = first_spec(length_of(70, {"kind": "copy_memory", "lag": 50}))
    (learned,) = (arm.spec for arm in EXPERIMENTS if arm.id == "E9a")
    learner = JobSpec.model_validate(learned)

    assert spec.cell.kind == learner.cell.kind == "rnn"
    assert spec.remedy == learner.remedy
    assert spec.training.optimizer == learner.training.optimizer
    assert spec.training.max_steps == learner.training.max_steps


def test_copying_comes_second_with_gates_and_the_steps_they_take() -> None:
    """A tanh network with an orthogonal start stays at the baseline; an LSTM took 2,800 steps."""
    history = length_of(50, {"kind": "copy_memory", "lag": 30})
    spec = patched(history.spec, diagnose("job", history).prescriptions[1])

    assert spec.remedy.init is not None
    assert (spec.cell.kind, spec.remedy.init.kind) == ("lstm", "chrono")
    assert spec.training.max_steps == 2_800


def test_digits_are_learned_with_an_orthogonal_start() -> None:
    """64 pixels are few enough for a tanh network."""
    spec = first_spec(length_of(64, {"kind": "sequential_digits"}))

    assert spec.remedy.init is not None
    assert (spec.cell.kind, spec.remedy.init.kind) == ("rnn", "orthogonal")


def test_plain_lstm_is_never_the_remedy() -> None:
    """Torch's own start reaches no further than tanh, so every LSTM comes with an init."""
    for code in FindingCode:
        for prescription in prescribed(histories.vanishing(), code):
            spec = patched(histories.vanishing().spec, prescription)
            assert spec.cell.kind != "lstm" or spec.remedy.init is not None


def test_orthogonal_start_against_explosion_keeps_the_cell() -> None:
    """An LSTM that explodes is not turned into something else before its start is mended."""
    history = replace(
        histories.exploding_but_clipped(),
        spec=make_spec(cell={"kind": "lstm"}, **histories.CLIPPED),
    )

    assert first_spec(history).cell == history.spec.cell


def test_orthogonal_start_of_an_lstm_run_says_that_it_changes_the_cell() -> None:
    """Where the remedy is another network, the title says so."""
    history = length_of(30, {"kind": "delayed_recall", "seq_len": 30}, cell={"kind": "lstm"})

    assert diagnose("job", history).prescriptions[0].title == (
        "Use a tanh network, start W_hh orthogonal, clip at 1"
    )


def test_starved_run_is_clipped_at_its_own_median_norm() -> None:
    """The run's norms are about 0.5, so that is where the limit goes."""
    assert diagnose("job", histories.over_clipped()).prescriptions[0].patch == {
        "remedy": {"clipping": {"max_norm": 0.5}}
    }


def test_warnings_of_an_unfinished_run_are_answered_after_more_steps() -> None:
    """A run that was still learning, its reach short: go on, or give it a longer reach."""
    history = replace(histories.still_improving(), flows=histories.vanishing().flows)
    because = [prescription.because for prescription in diagnose("job", history).prescriptions]

    assert because[0] == ()
    assert (FindingCode.VANISHING_GRADIENT,) in because[1:]


def test_lr_that_tanh_networks_fail_at_is_lowered_with_the_start() -> None:
    """An orthogonal start at lr 0.01 does not recall; it comes with lr 0.001."""
    optimizer = {"kind": "adam", "lr": 0.01}
    history = replace(
        histories.vanishing(), spec=make_spec(training={"optimizer": optimizer, "max_steps": 1_000})
    )

    assert first_spec(history).training.optimizer.lr == 0.001


def test_lr_is_raised_by_what_the_updates_lack() -> None:
    """Updates of 1e-6 of the parameters, where 1e-3 is usual, ask for a thousand times the lr."""
    history = replace(histories.lr_too_low(), update_ratio_S=histories.constant(1e-6))

    assert diagnose("job", history).prescriptions[0].patch == {
        "training": {"optimizer": {"lr": 1.0}}
    }
