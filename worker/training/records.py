"""What training reports: one record a step, and what was evaluated, measured or ended there.

Shapes: L layers, T time steps. A bidirectional layer counts twice, its forward direction first.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class StepRecord(NamedTuple):
    """The measures of one optimizer step; each may be inf or nan."""

    step: int  #: counted from 1
    loss: float  #: mean per target over the batch, nats or squared (scaled) units
    lr: float  #: learning rate used at this step
    grad_norm: float  #: global L2 norm before clipping
    clip_coef: float  #: norm after clipping over norm before, in (0, 1]; 1 when not clipped
    param_norm: float  #: global L2 norm of the parameters after the update
    update_ratio: float  #: norm of the update over the norm of the parameters before it


@dataclass(frozen=True)
class EvalRecord:
    """Held-out loss after a step."""

    step: int
    val_loss: float  #: mean per target, same units as `loss`
    val_metric: float | None  #: accuracy, or squared error in the data's units; None if the same


@dataclass(frozen=True)
class FlowRecord:
    """How the gradient flows through time at one step, from float64 norms of the deltas."""

    step: int
    grad_norm_LT: NDArray[np.float64]  #: norm of dL_T/dh_t, each layer and time step
    weight_term_norm_LT: NDArray[np.float64]  #: norm of the term of dL/dW_hh through time step t
    reach_L: tuple[int, ...]  #: most recent time steps with at least 1 % of the last one's norm
    spectral_radius: float | None  #: largest |eigenvalue| of W_hh over layers and gate blocks, or
    #: of an LRU's Lambda; None where nothing recurs by a weight
    saturation: float | None  #: share of activations at their flat ends
    dead_fraction: float | None  #: share of units 0 over batch and time; None if none can die
    update_fraction: float | None = None  #: share of steps updating the state; None if all have to


@dataclass(frozen=True)
class Event:
    """Something that was decided while training, not measured.

    - rollback: the loss spiked; to_step, lr from now on, count of rollbacks so far, loss (absent
      if not finite), reference (the median it is compared with; absent while warming up).
    - rollbacks_exhausted: it spiked once more than may be rolled back; count, loss, reference.
    - lr_cut: the held-out loss stood still; lr_before, lr.
    - lr_suggested: the range test is over; end (diverged or max_steps), steepest_step and lr (both
      absent if the smoothed loss never fell).
    """

    step: int
    kind: str
    detail: dict[str, float | int | str]  #: finite numbers and words


class EndReason(StrEnum):
    """Why training ended."""

    MAX_STEPS = "max_steps"
    TARGET = "target"  #: the stopping rule of the spec was met
    LR_CONTROL = "lr_control"  #: the lr control has seen what it wanted to see
    NONFINITE = "nonfinite"  #: too many updates in a row had to be refused


@dataclass(frozen=True)
class End:
    """The end of one job's training."""

    reason: EndReason
    loss_final: float  #: on the test set, in the task's own units; may be nan


@dataclass(frozen=True)
class JobStep:
    """All that one step brought for one job of the pack."""

    index: int  #: the job's place in the pack
    record: StepRecord
    evaluation: EvalRecord | None = None
    flow: FlowRecord | None = None
    events: tuple[Event, ...] = ()
    end: End | None = None
