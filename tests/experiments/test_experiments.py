import pytest

from tests.experiments.experiment import Experiment
from tests.experiments.runner import run
from tests.experiments.table import EXPERIMENTS


@pytest.mark.parametrize(
    "experiment",
    [experiment for experiment in EXPERIMENTS if experiment.is_quick],
    ids=lambda experiment: experiment.name,
)
def test_published_behaviour_comes_out(experiment: Experiment) -> None:
    """Two of three seeds pass the gate of each experiment that is short."""
    outcomes = run(experiment)

    assert experiment.succeeds(outcomes), outcomes
