"""How the learning rate moves during training."""

from typing import Annotated, Literal

from pydantic import Field

from contract.spec.model import Integer, Number, SpecModel
from contract.spec.training import LearningRate

Fraction = Annotated[Number, Field(gt=0, lt=1)]
Factor = Annotated[Number, Field(ge=1, le=1e12)]


class Constant(SpecModel):
    """The optimizer's lr at every step."""

    kind: Literal["constant"]


class Step(SpecModel):
    """lr times `factor` every `every` steps."""

    kind: Literal["step"]
    every: Annotated[Integer, Field(ge=1, le=10_000_000)]
    """Steps between two cuts."""
    factor: Fraction = 0.1
    """What each cut multiplies lr by."""


class Exponential(SpecModel):
    """lr times `decay` after every step."""

    kind: Literal["exponential"]
    decay: Annotated[Number, Field(gt=0, lt=1)] = 0.999
    """What each step multiplies lr by."""


class Cosine(SpecModel):
    """Linear warm-up, then half a cosine down to `min_lr_factor`.

    Source: Loshchilov & Hutter 2017.
    """

    kind: Literal["cosine"]
    warmup_steps: Annotated[Integer, Field(ge=0, le=10_000_000)] = 0
    """Steps over which lr rises linearly from 0 to its full value."""
    min_lr_factor: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Share of lr left at the last step."""


class Plateau(SpecModel):
    """lr times `factor` when `val_loss` has not improved for `patience` evaluations."""

    kind: Literal["plateau"]
    factor: Fraction = 0.5
    """What each cut multiplies lr by."""
    patience: Annotated[Integer, Field(ge=0, le=10_000)] = 5
    """Evaluations without improvement that are borne."""
    threshold: Annotated[Number, Field(ge=0, lt=1)] = 1e-4
    """Relative improvement that counts as one."""
    min_lr: Annotated[Number, Field(ge=0, le=1e3)] = 0.0
    """lr is never cut below this."""


class OneCycle(SpecModel):
    """Half a cosine up to lr, then half a cosine far below where it started.

    Source: Smith & Topin 2019.
    """

    kind: Literal["one_cycle"]
    pct_start: Fraction = 0.3
    """Share of the steps over which lr rises."""
    div_factor: Factor = 25.0
    """lr starts at lr / div_factor."""
    final_div_factor: Factor = 1e4
    """lr ends at its start / final_div_factor."""


class RangeTest(SpecModel):
    """lr rises exponentially until the loss diverges, and the steepest descent suggests an lr.

    A measurement, not a training: it ends once the smoothed loss exceeds `diverge_factor` times its
    best. Source: Smith 2017.
    """

    kind: Literal["range_test"]
    start_lr: LearningRate = 1e-6
    """lr of the first step; the optimizer's own is not used."""
    end_lr: LearningRate = 10.0
    """lr of the last step, if the loss has not diverged before."""
    smoothing: Annotated[Number, Field(gt=0, le=1)] = 0.05
    """Weight of the newest loss in the smoothed one; 1 smooths nothing."""
    diverge_factor: Annotated[Number, Field(gt=1, le=1e6)] = 4.0
    """How many times its best the smoothed loss may be."""


class Guarded(SpecModel):
    """When the loss spikes or is not finite: back to an earlier state, with a smaller lr.

    The data goes on: the batches that did harm are not seen again. Source: Chowdhery et al. 2022,
    section 5.1; the smaller lr from Zhang et al. 2022 (OPT).
    """

    kind: Literal["guarded"]
    factor: Fraction = 0.5
    """What each rollback multiplies lr by."""
    max_rollbacks: Annotated[Integer, Field(ge=1, le=1_000)] = 3
    """After these the training goes on unguarded."""
    spike_factor: Annotated[Number, Field(gt=1, le=1e6)] = 5.0
    """How many times its running median the loss must be to count as a spike."""
    window: Annotated[Integer, Field(ge=2, le=10_000)] = 50
    """Steps of the running median, and between two states to go back to."""


LrControl = Annotated[
    Constant | Step | Exponential | Cosine | Plateau | OneCycle | RangeTest | Guarded,
    Field(discriminator="kind"),
]
