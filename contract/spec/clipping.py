"""What bounds the gradient before an update."""

from typing import Annotated, Literal

from pydantic import Field

from contract.spec.model import Integer, Number, Positive, SpecModel


class NormClipping(SpecModel):
    """g * min(1, max_norm/||g||) on the global L2 norm. Source: Pascanu et al. 2013."""

    kind: Literal["norm"]
    max_norm: Positive = 1.0
    """Largest L2 norm of the whole gradient."""


class ValueClipping(SpecModel):
    """Each entry of the gradient clamped to [-clip_value, clip_value]. Source: Mikolov 2012."""

    kind: Literal["value"]
    clip_value: Positive = 1.0
    """Largest absolute entry."""


class UnitClipping(SpecModel):
    """AGC: each unit's gradient at most `clipping` times the norm of the unit's own weights.

    Not on the readout. Source: Brock et al. 2021.
    """

    kind: Literal["agc"]
    clipping: Positive = 0.01
    """Largest ratio of a unit's gradient norm to its weight norm."""
    eps: Annotated[Number, Field(gt=0, le=1)] = 1e-3
    """Units with a smaller weight norm are treated as if they had this one."""


class PercentileClipping(SpecModel):
    """AutoClip: norm clipping at a percentile of the run's own last 10,000 gradient norms.

    Source: Seetharaman et al. 2020.
    """

    kind: Literal["auto"]
    percentile: Annotated[Number, Field(gt=0, le=100)] = 10.0
    """Which percentile of the norms so far is the limit; 100 never cuts."""


class ZScoreClipping(SpecModel):
    """ZClip: norms far above their running mean are cut, the more the farther they are.

    Source: Kumar et al. 2025.
    """

    kind: Literal["zclip"]
    z_threshold: Annotated[Number, Field(gt=0, le=1e6)] = 2.5
    """Standard deviations above the mean from which on a norm is cut."""
    alpha: Annotated[Number, Field(ge=0, lt=1)] = 0.97
    """Smoothing of the running mean and variance."""
    warmup_steps: Annotated[Integer, Field(ge=1, le=1_000_000)] = 25
    """First steps, which only set mean and variance; nothing is cut there."""


Clipping = Annotated[
    NormClipping | ValueClipping | UnitClipping | PercentileClipping | ZScoreClipping,
    Field(discriminator="kind"),
]
