"""One row of the table of results, as it is shown and stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from tests.experiments.experiment import Experiment, Outcome


@dataclass(frozen=True)
class SeedResult:
    """What came of one seed."""

    figures: str
    """What each band of the gate looked at, in the gate's order."""
    steps: int
    verdict: str
    passed: bool


@dataclass(frozen=True)
class Result:
    """An experiment and what came of it."""

    id: str
    arm: str
    gate: str
    published: str
    source: str
    seeds: tuple[SeedResult, ...]
    passed: bool
    seconds: float
    """On one core, all seeds together."""

    @property
    def name(self) -> str:
        """As the experiment's."""
        return f"{self.id}: {self.arm}"

    @property
    def figures(self) -> str:
        """By seed."""
        return _by_seed([seed.figures for seed in self.seeds])

    @property
    def steps(self) -> str:
        """By seed."""
        return _by_seed([str(seed.steps) for seed in self.seeds])

    @property
    def verdicts(self) -> str:
        """By seed."""
        return _by_seed([seed.verdict for seed in self.seeds])

    @property
    def count(self) -> str:
        """How many seeds passed, and whether that was too few."""
        passed = f"{sum(seed.passed for seed in self.seeds)} of {len(self.seeds)}"
        return passed if self.passed else f"{passed}: NO"


_RESULTS = TypeAdapter(tuple[Result, ...])


def make_result(experiment: Experiment, outcomes: Sequence[Outcome], seconds: float) -> Result:
    """Judge the outcomes and write them down."""
    conditions = [str(band) for band in experiment.gate]
    if experiment.verdict:
        conditions.append(f"verdict {experiment.verdict.value}")
    return Result(
        id=experiment.id,
        arm=experiment.arm,
        gate="; ".join(conditions),
        published=experiment.published.figure,
        source=experiment.published.source,
        seeds=tuple(_seed_result(experiment, outcome) for outcome in outcomes),
        passed=experiment.succeeds(outcomes),
        seconds=round(seconds, 1),
    )


def read_results(path: Path) -> tuple[Result, ...]:
    """The stored results; none if there is no file yet."""
    return _RESULTS.validate_json(path.read_bytes()) if path.exists() else ()


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Store the results as JSON."""
    path.write_bytes(_RESULTS.dump_json(tuple(results), indent=1) + b"\n")


def _seed_result(experiment: Experiment, outcome: Outcome) -> SeedResult:
    figures = [f"{outcome.measures[band.measure]:.4g}" for band in experiment.gate]
    return SeedResult(
        figures=" / ".join(figures),
        steps=outcome.steps,
        verdict=outcome.verdict.value,
        passed=experiment.passes(outcome),
    )


def _by_seed(values: Sequence[str]) -> str:
    """What is equal for all seeds is said once."""
    return values[0] if len(set(values)) == 1 else ", ".join(values)
