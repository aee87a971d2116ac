"""How a job is trained, measured and run."""

from typing import Annotated, Literal

from pydantic import Field

from contract.spec.model import Integer, Number, SpecModel

LearningRate = Annotated[Number, Field(gt=0, le=1e3)]
Beta = Annotated[Number, Field(ge=0, lt=1)]
Decay = Annotated[Number, Field(ge=0, le=1e3)]
Epsilon = Annotated[Number, Field(gt=0, le=1)]


class Sgd(SpecModel):
    """Stochastic gradient descent, with momentum if asked for; as `torch.optim.SGD`."""

    kind: Literal["sgd"]
    lr: LearningRate = 0.01
    """Learning rate."""
    momentum: Beta = 0.0
    """Share of the last update that is kept."""
    weight_decay: Decay = 0.0
    """L2 penalty added to the gradient."""


class RmsProp(SpecModel):
    """Gradient over its running root mean square; as `torch.optim.RMSprop`. Source: Hinton 2012."""

    kind: Literal["rmsprop"]
    lr: LearningRate = 0.001
    """Learning rate."""
    alpha: Beta = 0.99
    """Smoothing of the squared gradient."""
    eps: Epsilon = 1e-8
    """Added to the root."""
    momentum: Beta = 0.0
    """Share of the last update that is kept."""
    weight_decay: Decay = 0.0
    """L2 penalty added to the gradient."""


class Adam(SpecModel):
    """Adaptive moments; as `torch.optim.Adam`. Source: Kingma & Ba 2015."""

    kind: Literal["adam"]
    lr: LearningRate = 0.001
    """Learning rate."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Smoothing of the gradient and of its square."""
    eps: Epsilon = 1e-8
    """Added to the root."""
    weight_decay: Decay = 0.0
    """L2 penalty added to the gradient."""


class AdamW(SpecModel):
    """Adam with decoupled weight decay; as `torch.optim.AdamW`.

    Source: Loshchilov & Hutter 2019.
    """

    kind: Literal["adamw"]
    lr: LearningRate = 0.001
    """Learning rate."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Smoothing of the gradient and of its square."""
    eps: Epsilon = 1e-8
    """Added to the root."""
    weight_decay: Decay = 0.01
    """Share of the weights taken off at each step, times lr."""


Optimizer = Annotated[Sgd | RmsProp | Adam | AdamW, Field(discriminator="kind")]


class Target(SpecModel):
    """Stop at the first evaluation that is good enough."""

    kind: Literal["target"]
    series: Literal["val_loss"] = "val_loss"
    """The series that is watched."""
    below: Annotated[Number, Field(gt=0)]
    """Training ends once the series is below this."""


class Training(SpecModel):
    """Optimizer, batch, budget and when to stop."""

    # A factory, not a default value: client generators reject a default on a union.
    optimizer: Optimizer = Field(default_factory=lambda: Adam(kind="adam"))
    """What turns gradients into updates."""
    batch_size: Annotated[Integer, Field(ge=1, le=8_192)] = 64
    """Sequences in one step."""
    max_steps: Annotated[Integer, Field(ge=1, le=10_000_000)] = 2_000
    """Optimizer updates at most."""
    eval_every: Annotated[Integer, Field(ge=1, le=10_000_000)] = 100
    """Steps between two evaluations on held-out data; the last step is always evaluated."""
    seed: Annotated[Integer, Field(ge=0, le=2**63 - 1)] = 0
    """Of weights and data; the same spec gives the same run."""
    stop: Target | None = None
    """When to end before `max_steps`; null is never."""


class Diagnostics(SpecModel):
    """What is measured beyond the curves."""

    flow_every: Annotated[Integer, Field(ge=1, le=10_000_000)] = 20
    """Steps between two records of the gradient's flow through time; step 1 is always recorded."""


class Run(SpecModel):
    """Where and for how long a job may run."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What it must run on; `auto` takes whatever worker is free."""
    priority: Annotated[Integer, Field(ge=0, le=9)] = 5
    """9 goes first; equal ones in the order they came."""
    max_seconds: Annotated[Integer, Field(ge=1, le=604_800)] = 3_600
    """Wall-clock limit of one attempt; beyond it the job fails with `time_limit`."""
