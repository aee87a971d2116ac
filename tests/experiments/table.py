"""All experiments, in the order they are shown."""

import re
from typing import Final

from tests.experiments.experiment import Experiment
from tests.experiments.memory import MEMORY
from tests.experiments.reach import REACH
from tests.experiments.stability import STABILITY


def _place(experiment: Experiment) -> tuple[int, str]:
    """E9b stands before E10."""
    number = re.sub(r"\D", "", experiment.id)
    return int(number), experiment.id


EXPERIMENTS: Final = tuple(sorted((*MEMORY, *STABILITY, *REACH), key=_place))
