"""What judges the experiments: gates, the spike, the published form of the adding problem."""

import math

import numpy as np
import pytest
import torch

from contract.diagnosis import Verdict
from contract.spec import JobSpec
from tests.experiments.arms import adding, job, patched, recall
from tests.experiments.experiment import (
    Band,
    Experiment,
    Measure,
    Outcome,
    Published,
    open_by_spec,
)
from tests.experiments.skip_rnn_adding import open_skip_rnn_adding
from tests.experiments.spike import SPIKE_STEP, SpikedTrainer
from tests.experiments.table import EXPERIMENTS
from worker.training.loop import Trainer
from worker.training.pack import Pack

_EXPERIMENT = Experiment(
    "E0",
    "none",
    job(adding(10), "rnn", 1, remedy={}),
    (Band(Measure.BEST_LOSS, low=1, high=2),),
    Published("none", "none"),
    verdict=Verdict.HEALTHY,
)


def _outcome(best_loss: float, verdict: Verdict = Verdict.HEALTHY) -> Outcome:
    return Outcome(0, 1, {Measure.BEST_LOSS: best_loss}, verdict)


@pytest.mark.parametrize(
    ("best_loss", "passes"),
    [(0.99, False), (1, True), (2, True), (2.01, False), (math.nan, False), (math.inf, False)],
)
def test_a_seed_passes_within_the_band_alone(best_loss: float, passes: bool) -> None:  # noqa: FBT001 - a case of the table above
    """Both bounds belong to it, and nan does not."""
    assert _EXPERIMENT.passes(_outcome(best_loss)) is passes


def test_a_seed_with_another_verdict_does_not_pass() -> None:
    """The right loss for the wrong reason is no success."""
    assert not _EXPERIMENT.passes(_outcome(1.5, Verdict.INCONCLUSIVE))


@pytest.mark.parametrize(("losses", "succeeds"), [((1, 1, 3), True), ((1, 3, 3), False)])
def test_two_of_three_seeds_decide(losses: tuple[float, ...], succeeds: bool) -> None:  # noqa: FBT001 - a case of the table above
    """One seed's bad luck is no failure, and one seed's luck no success."""
    assert _EXPERIMENT.succeeds([_outcome(loss) for loss in losses]) is succeeds


def test_experiments_have_unique_names_in_order() -> None:
    """Results are stored by name and shown from E1 to E14."""
    names = [experiment.name for experiment in EXPERIMENTS]
    numbers = [int(experiment.id.strip("Eabc")) for experiment in EXPERIMENTS]

    assert len(set(names)) == len(names)
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, 15))


def test_the_spike_multiplies_one_gradient_by_a_million() -> None:
    """Up to its step a spiked run is the plain one, bit for bit; there its norm is 1e6 times it."""
    tiny = patched(job(recall(3), "rnn", SPIKE_STEP, remedy={}), {"cell": {"hidden_size": 4}})
    spec = JobSpec.model_validate(tiny)
    pack = Pack([(spec, open_by_spec(spec))])

    plain, spiked = (
        [step.record.grad_norm for (step,) in trainer(pack, torch.device("cpu")).steps()]
        for trainer in (Trainer, SpikedTrainer)
    )

    assert spiked[:-1] == plain[:-1]
    assert spiked[-1] == pytest.approx(1e6 * plain[-1])


def test_the_published_adding_problem_marks_the_first_tenth_and_the_second_half() -> None:
    """The target is the sum of both marked values, and always answering 0 costs 1/6."""
    spec = JobSpec.model_validate(job(adding(50), "gru", 1, remedy={}))
    batch = open_skip_rnn_adding(spec).test()
    value_NT, marker_NT = batch.x_NTI[:, :, 0], batch.x_NTI[:, :, 1]
    marked_N2 = np.nonzero(marker_NT)[1].reshape(-1, 2)

    assert marked_N2[:, 0].max() < 5
    assert marked_N2[:, 1].min() >= 25
    assert -0.5 <= value_NT.min() < value_NT.max() < 0.5
    np.testing.assert_allclose(batch.target.ravel(), (value_NT * marker_NT).sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose((batch.target**2).mean(), 1 / 6, rtol=0.05)
