"""The rules of the optimizers, on all jobs of a pack at once.

Shapes: K jobs of a pack, P parameters of one job. On a CPU in float32 the rules are those of
`worker.training.optimizer_kernels`.

The rules use only products, sums, quotients and roots, one at a time. Each of these rounds a number
the same wherever it stands, so a job's bits do not depend on its place in the pack; fused ones such
as `lerp` and `addcmul` round differently in the vectorised body and in the tail of a row.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from contract.spec.training import Adam, AdamW, Optimizer, RmsProp, Sgd
from worker.training.flat_optimizer import FlatOptimizer
from worker.training.optimizer_kernels import (
    Doubles,
    Flags,
    Floats,
    step_adam,
    step_rmsprop,
    step_sgd,
)


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
