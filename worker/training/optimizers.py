"""Optimizers on one flat buffer, every job of a pack with its own hyper-parameters.

Shapes: K jobs of a pack, P parameters of one job. `torch.optim` is not used: its first step costs a
second, and it cannot give each row of a buffer its own numbers. On a CPU in float32 the rules are
those of `worker.training.optimizer_kernels`.

The rules use only products, sums, quotients and roots, one at a time. Each of these rounds a number
the same wherever it stands, so a job's bits do not depend on its place in the pack; fused ones such
as `lerp` and `addcmul` round differently in the vectorised body and in the tail of a row.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from contract.spec.training import Adam, AdamW, Optimizer, RmsProp, Sgd
from worker.training.optimizer_kernels import (
    Doubles,
    Flags,
    Floats,
    step_adam,
    step_rmsprop,
    step_sgd,
)


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


class _FlatSgd(FlatOptimizer):
    """Stochastic gradient descent, as `torch.optim.SGD`.

    g += weight_decay * p;  b = momentum * b + g;  p -= lr * b
    """

    def __init__(
        self, specs: Sequence[Sgd], num_parameters: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__(specs, num_parameters, device, dtype)
        self._momentum_K1 = self._column([spec.momentum for spec in specs])
        if any(spec.momentum > 0 for spec in specs):
            self.state["momentum"] = self._zeros()
        self._numbers_KC = self._table(self._decay_K1, self._momentum_K1)

    def _step_rows(
        self, parameters_KP: Floats, gradients_KP: Floats, lr_K: Doubles, active_K: Flags
    ) -> None:
        momentum_KP = self._rows("momentum")
        step_sgd(parameters_KP, gradients_KP, momentum_KP, self._numbers_KC, lr_K, active_K)

    def _update(self, parameters_KP: Tensor, gradients_KP: Tensor, lr_K1: Tensor) -> None:
        direction_KP = self._penalised(gradients_KP, parameters_KP)
        if "momentum" in self.state:
            direction_KP = (
                self.state["momentum"].mul_(self._cast(self._momentum_K1)).add_(direction_KP)
            )
        torch.mul(direction_KP, self._cast(lr_K1), out=self._scratch_KP)
        parameters_KP.sub_(self._scratch_KP)


class _FlatRmsProp(FlatOptimizer):
    """Gradient over its running root mean square, as `torch.optim.RMSprop`.

    g += weight_decay * p;  v = alpha * v + (1-alpha) * g^2
    b = momentum * b + g / (sqrt(v) + eps);  p -= lr * b

    Source:
        Hinton, "Neural networks for machine learning", lecture 6, 2012.
    """

    def __init__(
        self,
        specs: Sequence[RmsProp],
        num_parameters: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(specs, num_parameters, device, dtype)
        alpha_K1 = self._column([spec.alpha for spec in specs])
        self._alpha_K1 = self._cast(alpha_K1)
        self._one_minus_alpha_K1 = self._cast(1 - alpha_K1)
        self._eps_K1 = self._eps([spec.eps for spec in specs])
        self._momentum_K1 = self._column([spec.momentum for spec in specs])
        self.state["square"] = self._zeros()
        if any(spec.momentum > 0 for spec in specs):
            self.state["momentum"] = self._zeros()
        eps_K1 = self._eps_K1.double()
        self._numbers_KC = self._table(self._decay_K1, self._momentum_K1, alpha_K1, eps_K1)

    def _step_rows(
        self, parameters_KP: Floats, gradients_KP: Floats, lr_K: Doubles, active_K: Flags
    ) -> None:
        step_rmsprop(
            parameters_KP,
            gradients_KP,
            self._rows("square"),
            self._rows("momentum"),
            self._numbers_KC,
            lr_K,
            active_K,
        )

    def _update(self, parameters_KP: Tensor, gradients_KP: Tensor, lr_K1: Tensor) -> None:
        gradient_KP = self._penalised(gradients_KP, parameters_KP)
        work_KP = self._scratch_KP
        torch.mul(gradient_KP, gradient_KP, out=work_KP).mul_(self._one_minus_alpha_K1)
        square_KP = self.state["square"].mul_(self._alpha_K1).add_(work_KP)
        torch.sqrt(square_KP, out=work_KP).add_(self._eps_K1)
        torch.div(gradient_KP, work_KP, out=work_KP)
        if "momentum" in self.state:
            momentum_KP = self.state["momentum"].mul_(self._cast(self._momentum_K1)).add_(work_KP)
            torch.mul(momentum_KP, self._cast(lr_K1), out=work_KP)
        else:
            work_KP.mul_(self._cast(lr_K1))
        parameters_KP.sub_(work_KP)


class _FlatAdam(FlatOptimizer):
    """Adaptive moments, as `torch.optim.Adam`; with decoupled decay, as `torch.optim.AdamW`.

    Adam: g += weight_decay * p.  AdamW: p *= 1 - lr * weight_decay.
    m = beta1 * m + (1-beta1) * g;  v = beta2 * v + (1-beta2) * g^2
    p -= lr / (1-beta1^t) * m / (sqrt(v) / sqrt(1-beta2^t) + eps),  t the job's own updates

    Source:
        Kingma & Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1;
        Loshchilov & Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2.
    """

    def __init__(
        self,
        specs: Sequence[Adam | AdamW],
        num_parameters: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(specs, num_parameters, device, dtype)
        self._decoupled = isinstance(specs[0], AdamW)
        self._beta1_K1 = self._column([spec.betas[0] for spec in specs])
        self._beta2_K1 = self._column([spec.betas[1] for spec in specs])
        self._keep_K1 = self._cast(self._beta1_K1), self._cast(self._beta2_K1)
        self._take_K1 = self._cast(1 - self._beta1_K1), self._cast(1 - self._beta2_K1)
        self._eps_K1 = self._eps([spec.eps for spec in specs])
        eps_K1 = self._eps_K1.double()
        none_K1 = torch.zeros_like(eps_K1)
        decays = (none_K1, self._decay_K1) if self._decoupled else (self._decay_K1, none_K1)
        self._numbers_KC = self._table(*decays, self._beta1_K1, self._beta2_K1, eps_K1)
        # beta^t by one product a step: a power function rounds differently from pack to pack.
        self.state["beta1_power"] = torch.ones_like(self._beta1_K1)
        self.state["beta2_power"] = torch.ones_like(self._beta2_K1)
        self.state["mean"] = self._zeros()
        self.state["square"] = self._zeros()

    def _update(self, parameters_KP: Tensor, gradients_KP: Tensor, lr_K1: Tensor) -> None:
        gradient_KP = self._decayed(parameters_KP, gradients_KP, lr_K1)
        mean_KP, square_KP = self._moments(gradient_KP)
        correction1_K1 = 1 - self.state["beta1_power"].mul_(self._beta1_K1)
        correction2_K1 = 1 - self.state["beta2_power"].mul_(self._beta2_K1)
        work_KP = torch.sqrt(square_KP, out=self._scratch_KP)
        work_KP.div_(self._cast(correction2_K1.sqrt())).add_(self._eps_K1)
        torch.div(mean_KP, work_KP, out=work_KP).mul_(self._cast(lr_K1 / correction1_K1))
        parameters_KP.sub_(work_KP)

    def _step_rows(
        self, parameters_KP: Floats, gradients_KP: Floats, lr_K: Doubles, active_K: Flags
    ) -> None:
        step_adam(
            parameters_KP,
            gradients_KP,
            self._rows("mean"),
            self._rows("square"),
            (self.state["beta1_power"].numpy(), self.state["beta2_power"].numpy()),
            self._numbers_KC,
            lr_K,
            active_K,
        )

    def _decayed(self, parameters_KP: Tensor, gradients_KP: Tensor, lr_K1: Tensor) -> Tensor:
        """Shrink the parameters (AdamW), or return the gradient with its penalty (Adam)."""
        if not self._decoupled:
            return self._penalised(gradients_KP, parameters_KP)
        if self._has_decay:
            parameters_KP.mul_(self._cast(1 - lr_K1 * self._decay_K1))
        return gradients_KP

    def _moments(self, gradient_KP: Tensor) -> tuple[Tensor, Tensor]:
        keep1_K1, keep2_K1 = self._keep_K1
        take1_K1, take2_K1 = self._take_K1
        work_KP = self._scratch_KP
        torch.mul(gradient_KP, take1_K1, out=work_KP)
        mean_KP = self.state["mean"].mul_(keep1_K1).add_(work_KP)
        torch.mul(gradient_KP, gradient_KP, out=work_KP).mul_(take2_K1)
        square_KP = self.state["square"].mul_(keep2_K1).add_(work_KP)
        return mean_KP, square_KP


def make_optimizer(
    specs: Sequence[Optimizer], num_parameters: int, device: torch.device, dtype: torch.dtype
) -> FlatOptimizer:
    """Make the optimizer of a pack.

    Args:
        specs: one a job; their `lr` is not used, as `step` is given it.
        num_parameters: P.
        device: of the buffers that `step` will be given.
        dtype: of the same buffers, float32 or float64.

    Raises:
        ValueError: if there are no specs, or specs of several kinds.
    """
    if not specs:
        raise ValueError("an optimizer needs at least one spec")
    kinds = {type(spec) for spec in specs}
    # Filtering by class loses nothing once all are of one kind; it tells the type checker so.
    if kinds == {Sgd}:
        sgd = [spec for spec in specs if isinstance(spec, Sgd)]
        return _FlatSgd(sgd, num_parameters, device, dtype)
    if kinds == {RmsProp}:
        rmsprop = [spec for spec in specs if isinstance(spec, RmsProp)]
        return _FlatRmsProp(rmsprop, num_parameters, device, dtype)
    if kinds in ({Adam}, {AdamW}):
        adam = [spec for spec in specs if isinstance(spec, Adam | AdamW)]
        return _FlatAdam(adam, num_parameters, device, dtype)
    names = ", ".join(sorted(spec.kind for spec in specs))
    raise ValueError(f"one optimizer cannot mix kinds: {names}")
