"""What a diagnosis says: findings with evidence, and prescriptions one can POST."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class FindingCode(StrEnum):
    """What can be wrong with a training run, gravest first."""

    DIVERGED = "diverged"  #: a non-finite value, or a loss far above its start
    EXPLODING_GRADIENT = "exploding_gradient"  #: the gradient grows on its way back in time
    VANISHING_GRADIENT = "vanishing_gradient"  #: it dies before it reaches what must be remembered
    SATURATED = "saturated"  #: units sit where their activation is flat
    DEAD_UNITS = "dead_units"  #: units that are 0 for every input
    STAGNATED = "stagnated"  #: no better than doing nothing, or no longer moving
    OVER_CLIPPED = "over_clipped"  #: most updates are cut by clipping
    LR_TOO_HIGH = "lr_too_high"  #: the loss jumps about or rises
    LR_TOO_LOW = "lr_too_low"  #: the loss still falls steadily, but hardly
    OVERFITTING = "overfitting"  #: held-out loss rises while training loss falls


class Verdict(StrEnum):
    """The code of the gravest critical finding, or one of the two words for no finding."""

    HEALTHY = "healthy"  #: it learns
    INCONCLUSIVE = "inconclusive"  #: too little is known yet
    DIVERGED = "diverged"
    EXPLODING_GRADIENT = "exploding_gradient"
    VANISHING_GRADIENT = "vanishing_gradient"
    SATURATED = "saturated"
    DEAD_UNITS = "dead_units"
    STAGNATED = "stagnated"
    OVER_CLIPPED = "over_clipped"
    LR_TOO_HIGH = "lr_too_high"
    LR_TOO_LOW = "lr_too_low"
    OVERFITTING = "overfitting"


class Severity(StrEnum):
    """How much a finding weighs."""

    WARNING = "warning"  #: worth knowing; does not decide the verdict
    CRITICAL = "critical"  #: explains why the run did not learn


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Finding(_Shown):
    """One thing that was found, with the numbers it rests on."""

    code: FindingCode
    severity: Severity
    first_step: int
    """First training step that shows it."""
    last_step: int
    """Last training step that shows it."""
    evidence: dict[str, float | int | None]
    """Measured values; null where one was not finite."""
    threshold: dict[str, float]
    """The limits that the evidence crossed."""
    explanation: str
    """One or two sentences, the numbers in them."""


class Measures(_Shown):
    """The run in numbers; null where a number is unknown or not finite."""

    reach: int | None = None
    """Most recent time steps whose gradient is at least 1 % of the last one's, layer 0."""
    seq_len: int
    """Time steps of one sequence."""
    flow_ratio: float | None = None
    """Gradient norm at the first time step over that at the last, layer 0."""
    grad_norm_median: float | None = None
    clip_fraction: float | None = None
    """Share of steps whose gradient was cut, in [0, 1]; null without clipping."""
    spectral_radius: float | None = None
    """Largest absolute eigenvalue of W_hh, over layers (of an LSTM or GRU: of its gate blocks); of
    an lru the largest |Lambda|; null for min_gru and min_lstm."""
    saturation: float | None = None
    """Share of activations at their flat ends, in [0, 1]."""
    dead_fraction: float | None = None
    """Share of units that are 0 for the whole batch and every step, in [0, 1]; null if none can."""
    update_fraction: float | None = None
    """Share of time steps at which a learned skip updates the state, in [0, 1]; null without."""
    nonfinite_count: int = 0
    loss_final: float | None = None
    """On held-out data, in the task's own units."""
    loss_baseline: float
    """Of doing nothing: the mean, a uniform guess, or persistence; same units."""


class Prescription(_Shown):
    """A change of the spec that should help, most promising first."""

    rank: int
    """1 is to be tried first."""
    title: str
    because: tuple[FindingCode, ...]
    """The findings it answers."""
    patch: dict[str, Any]
    """A JSON Merge Patch (RFC 7396) on this job's spec; POST it to `/v1/jobs/{id}/fork`."""
    reason: str
    """Why it should help here, with numbers."""
    source: str
    """Where it is from."""


class Diagnosis(_Shown):
    """Why a run went as it did, and what to do."""

    job_id: str
    final: bool
    """False while the job is not final."""
    verdict: Verdict
    summary: str
    """One sentence with the numbers in it."""
    findings: tuple[Finding, ...]
    measures: Measures | None
    """Null before the first evaluation."""
    prescriptions: tuple[Prescription, ...]
