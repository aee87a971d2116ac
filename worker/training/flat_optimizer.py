"""What the optimizers have in common: one flat buffer, every job with its own hyper-parameters.

Shapes: K jobs of a pack, P parameters of one job, C coefficients of a rule. `torch.optim` is not
used: its first step costs a second, and it cannot give each row of a buffer its own numbers. On a
CPU in float32 the rules are those of `worker.training.optimizer_kernels`, with the same bits.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from contract.spec.training import Optimizer
from worker.training.optimizer_kernels import Doubles, Flags, Floats


class FlatOptimizer(ABC):
    """Updates a (K, P) buffer in place.

    `state` holds what is remembered between steps, by name: (K, P) or (K, 1) tensors, row k being
    job k's. With it, the parameters and the specs, an optimizer goes on where another stopped.
    """

    def __init__(
        self,
        specs: Sequence[Optimizer],
        num_parameters: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.state: dict[str, Tensor] = {}
        self._shape = (len(specs), num_parameters)
        self._device = device
        self._dtype = dtype
        self._has_kernel = device.type == "cpu" and dtype == torch.float32
        self._scratch_KP = self._zeros()
        self._penalised_KP = self._zeros()
        self._nothing_K0 = np.zeros((len(specs), 0), np.float32)
        self._decay_K1 = self._column([spec.weight_decay for spec in specs])
        self._has_decay = any(spec.weight_decay > 0 for spec in specs)
        self._before: list[Tensor] = []  # what inactive rows get back; made when first needed

    def step(
        self, parameters_KP: Tensor, gradients_KP: Tensor, lr_K: Tensor, active_K: Tensor
    ) -> None:
        """Update the parameters of the active jobs; of the others nothing changes, bit for bit.

        Args:
            parameters_KP: changed in place.
            gradients_KP: read only; rows of inactive jobs may hold inf or nan.
            lr_K: learning rates, of any floating dtype (float64 loses nothing).
            active_K: bool; jobs whose update is made.
        """
        if self._has_kernel:
            rows = parameters_KP.numpy(), gradients_KP.numpy()
            self._step_rows(*rows, lr_K.double().numpy(), active_K.numpy())
        else:
            self.step_by_tensors(parameters_KP, gradients_KP, lr_K, active_K)

    def step_by_tensors(
        self, parameters_KP: Tensor, gradients_KP: Tensor, lr_K: Tensor, active_K: Tensor
    ) -> None:
        """The same without a kernel, on any device and in any dtype."""
        lr_K1 = lr_K.to(self._device, torch.float64, non_blocking=True).unsqueeze(1)
        # On a GPU looking at the mask would wait for all work queued on it.
        if active_K.device.type == "cpu" and bool(active_K.all()):
            self._update(parameters_KP, gradients_KP, lr_K1)
            return
        written = [parameters_KP, *self.state.values()]
        self._before = self._before or [torch.empty_like(tensor) for tensor in written]
        for tensor, before in zip(written, self._before, strict=True):
            before.copy_(tensor)
        self._update(parameters_KP, gradients_KP, lr_K1)
        active_K1 = active_K.to(self._device, non_blocking=True).unsqueeze(1)
        for tensor, before in zip(written, self._before, strict=True):
            torch.where(active_K1, tensor, before, out=tensor)

    @abstractmethod
    def _step_rows(
        self, parameters_KP: Floats, gradients_KP: Floats, lr_K: Doubles, active_K: Flags
    ) -> None:
        """Apply the rule's kernel to the rows of active jobs."""

    @abstractmethod
    def _update(self, parameters_KP: Tensor, gradients_KP: Tensor, lr_K1: Tensor) -> None:
        """Apply the rule to every row; `lr_K1` is float64."""

    def _penalised(self, gradients_KP: Tensor, parameters_KP: Tensor) -> Tensor:
        """The gradient with its L2 penalty, g + weight_decay * p."""
        if not self._has_decay:
            return gradients_KP
        torch.mul(parameters_KP, self._cast(self._decay_K1), out=self._penalised_KP)
        return self._penalised_KP.add_(gradients_KP)

    def _table(self, *columns_K1: Tensor) -> Doubles:
        """The coefficients of the rule's kernel, (K, C); nothing where tensors are used."""
        if not self._has_kernel:
            return np.zeros((0, 0))
        return torch.cat(columns_K1, dim=1).numpy()

    def _rows(self, name: str) -> Floats:
        """What is remembered under a name, (K, P), or (K, 0) if nothing is."""
        return self.state[name].numpy() if name in self.state else self._nothing_K0

    def _zeros(self) -> Tensor:
        return torch.zeros(self._shape, dtype=self._dtype, device=self._device)

    def _column(self, values: Sequence[float]) -> Tensor:
        # float64 until used, as torch.optim computes its coefficients in Python's floats.
        return torch.tensor(values, dtype=torch.float64, device=self._device).unsqueeze(1)

    def _cast(self, column_K1: Tensor) -> Tensor:
        return column_K1.to(self._dtype)

    def _eps(self, values: Sequence[float]) -> Tensor:
        # An eps that rounds to 0 in float32 would make 0/0 of a gradient of 0.
        return self._cast(self._column(values).clamp(min=torch.finfo(self._dtype).tiny))
