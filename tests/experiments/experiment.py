"""An experiment as data: what is trained, what must come of it, and what did."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import torch

from contract.diagnosis import Verdict
from contract.spec import JobSpec
from worker.datasets.registry import open_dataset
from worker.datasets.task import Dataset
from worker.training.loop import Trainer

JsonObject = dict[str, object]

SEEDS = (0, 1, 2)
"""Of every experiment; trained together in one pack."""


class Measure(StrEnum):
    """What a gate may look at, of one seed."""

    BEST_LOSS = "best loss"  #: lowest held-out loss of all evaluations
    LAST_LOSS = "last loss"  #: held-out loss of the last evaluation
    LAST_OVER_FIRST = "last loss over first"  #: of the evaluations
    NONFINITE_STEPS = "non-finite steps"  #: steps whose loss or gradient was not finite
    CLIPPED = "share of steps clipped"
    FLOW_RATIO = (
        "flow ratio"  #: gradient at the first time step over that at the last, before training
    )
    REACH = "reach"  #: time steps the gradient reaches before training
    SPECTRAL_RADIUS = "spectral radius"  #: of W_hh before training
    UPDATE_FRACTION = "update fraction"  #: time steps that updated the state, when training ended


@dataclass(frozen=True)
class Outcome:
    """What came of one seed."""

    seed: int
    steps: int
    """Optimizer updates until it ended."""
    measures: Mapping[Measure, float]
    """nan where there is no such number."""
    verdict: Verdict


@dataclass(frozen=True)
class Band:
    """A measure must lie between two bounds, both included."""

    measure: Measure
    low: float = -math.inf
    high: float = math.inf

    def holds(self, outcome: Outcome) -> bool:
        """Whether it does; nan lies nowhere."""
        return self.low <= outcome.measures[self.measure] <= self.high

    def __str__(self) -> str:
        if self.low == -math.inf:
            return f"{self.measure} ≤ {self.high:.4g}"
        if self.high == math.inf:
            return f"{self.measure} ≥ {self.low:.4g}"
        return f"{self.measure} in [{self.low:.7g}, {self.high:.7g}]"


@dataclass(frozen=True)
class Published:
    """The figure that ours is held against."""

    figure: str
    source: str


def open_by_spec(spec: JobSpec) -> Dataset:
    """The dataset that the spec names, as the worker opens it."""
    return open_dataset(spec.dataset, spec.training.seed, _no_upload)


def _no_upload(dataset_id: str) -> pa.Table:
    raise AssertionError(f"no experiment reads an upload, but {dataset_id} was asked for")


@dataclass(frozen=True)
class Experiment:
    """One arm: a job spec for every seed, and the gate that most of the seeds must pass."""

    id: str
    arm: str
    """In words."""
    spec: JsonObject
    """As a client would POST it; the runner puts in the seeds."""
    gate: tuple[Band, ...]
    """All of them must hold."""
    published: Published
    verdict: Verdict | None = None
    """What the diagnosis must say; None is anything."""
    is_quick: bool = True
    """Whether it is short enough for every run of the tests."""
    open_data: Callable[[JobSpec], Dataset] = open_by_spec
    trainer: type[Trainer] = Trainer
    dtype: torch.dtype = torch.float32

    @property
    def name(self) -> str:
        """Unique."""
        return f"{self.id}: {self.arm}"

    def passes(self, outcome: Outcome) -> bool:
        """Whether one seed came out as it must."""
        says_why = self.verdict in (None, outcome.verdict)
        return says_why and all(band.holds(outcome) for band in self.gate)

    def succeeds(self, outcomes: Sequence[Outcome]) -> bool:
        """Whether most seeds did: two of three."""
        return 2 * sum(self.passes(outcome) for outcome in outcomes) > len(outcomes)
