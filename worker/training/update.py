"""From gradients to new parameters: constraint, clipping, optimizer, and what they did.

Shapes: K jobs of a pack, P parameters of one job.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from contract.spec import JobSpec
from worker.remedies.clipping import make_clipping
from worker.remedies.constraints import make_constraint
from worker.training.norms import update_norms
from worker.training.optimizers import make_optimizer
from worker.training.parameters import ParameterLayout
from worker.training.records import StepRecord


class Measured(NamedTuple):
    """What an update showed of one job; as it came, inf and nan too."""

    loss: float
    grad_norm: float
    clip_coef: float
    param_norm: float
    before_norm: float  #: of the parameters before the update
    update_norm: float
    updated: float  #: 1 if the update was made, 0 if it was refused

    def record(self, step: int, lr: float) -> StepRecord:
        """The record of the step whose update it was."""
        return StepRecord(
            step=step,
            loss=self.loss,
            lr=lr,
            grad_norm=self.grad_norm,
            clip_coef=self.clip_coef,
            param_norm=self.param_norm,
            update_ratio=self.update_norm / self.before_norm if self.before_norm else 0.0,
        )


class Update:
    """Updates the parameters of a pack where loss and gradient are finite.

    Args:
        specs: one a job.
        layout: of the parameters.
        device: where they live.
        dtype: float32 or float64.
    """

    def __init__(
        self,
        specs: Sequence[JobSpec],
        layout: ParameterLayout,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._device = device
        optimizers = [spec.training.optimizer for spec in specs]
        self._optimizer = make_optimizer(optimizers, layout.num_parameters, device, dtype)
        self._clipping = make_clipping([spec.remedy.clipping for spec in specs], layout, device)
        self._constraint = make_constraint([spec.remedy.init for spec in specs], layout)
        shape = len(specs), layout.num_parameters
        self._before_KP = torch.empty(shape, device=device, dtype=dtype)

    @property
    def state(self) -> list[Tensor]:
        """(K, ...) each: what optimizer and clipping remember, changed in place."""
        return [*self._optimizer.state.values(), *self._clipping.state.values()]

    def apply(
        self,
        parameters_KP: Tensor,
        gradients_KP: Tensor,
        loss_K: Tensor,
        lrs: Sequence[float],
        running: Sequence[bool],
    ) -> list[Measured]:
        """Clip the gradients and update the parameters, both in place.

        Args:
            parameters_KP: those of jobs that do not run, or whose loss or gradient is not finite,
                stay as they are, bit for bit.
            gradients_KP: of the loss.
            loss_K: of the batch.
            lrs: learning rate of each job.
            running: whether a job takes part.
        """
        running_K = torch.tensor(running).to(self._device, non_blocking=True)
        active_K = _isfinite(loss_K) & running_K
        self._constraint.project_gradients_(gradients_KP, parameters_KP)
        norm_K, coef_K = self._clipping.clip(gradients_KP, parameters_KP, active_K)
        active_K &= _isfinite(norm_K)
        self._before_KP.copy_(parameters_KP)
        lr_K = torch.tensor(lrs, dtype=torch.float64)
        self._optimizer.step(parameters_KP, gradients_KP, lr_K, active_K)
        self._constraint.retract_(parameters_KP, self._before_KP, active_K)
        norms = update_norms(parameters_KP, self._before_KP)
        # The one moment of a step at which the host waits for the device.
        return [Measured(*row) for row in _rows([loss_K, norm_K, coef_K, *norms, active_K])]


def _isfinite(values_K: Tensor) -> Tensor:
    # On the host numpy needs a fifth of torch's time for so few numbers.
    if values_K.device.type == "cpu":
        return torch.from_numpy(np.isfinite(values_K.numpy()))
    return values_K.isfinite()


def _rows(columns: Sequence[Tensor]) -> list[list[float]]:
    """The numbers by job."""
    if columns[0].device.type == "cpu":
        on_host: list[list[float]] = np.array([column.numpy() for column in columns]).T.tolist()
        return on_host
    rows: list[list[float]] = torch.stack([c.double() for c in columns], dim=1).tolist()
    return rows
