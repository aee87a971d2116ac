"""What the diagnosis reads: the run so far, as plain arrays.

Shapes: S recorded steps, E evaluations, F flow records, L layers, T time steps.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contract.spec import JobSpec
from worker.datasets.task import Task
from worker.training.records import EndReason, EvalRecord, Event, FlowRecord

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class History:
    """A run as the rules see it; arrays are float64 and hold inf and nan as they came."""

    spec: JobSpec
    task: Task
    loss_S: Floats
    """Training loss of steps 1..S."""
    lr_S: Floats
    grad_norm_S: Floats
    clip_coef_S: Floats
    update_ratio_S: Floats
    evals: tuple[EvalRecord, ...]
    flows: tuple[FlowRecord, ...]
    end: EndReason | None
    """Why training ended; None while it runs."""
    loss_final: float | None
    """Held-out loss at the end in the task's own units; None while it runs."""
    events: tuple[Event, ...] = ()
    """What was decided in training, ascending; of many only the newest."""
