"""The optimizers' kernels against single operations in numpy, and against the rules on tensors.

Shapes: S steps, K jobs, P parameters.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from contract.spec.training import Adam, AdamW, Optimizer, RmsProp, Sgd
from worker.training.flat_optimizer import FlatOptimizer
from worker.training.optimizers import make_optimizer

Floats = NDArray[np.float32]
F = np.float32

lrs = st.floats(1e-5, 0.5)
betas = st.floats(0, 0.9999)
decays = st.just(0.0) | st.floats(1e-6, 0.5)
epsilons = st.floats(1e-10, 0.1)
momenta = st.just(0.0) | st.floats(0.01, 0.99)
sgds = st.builds(Sgd, kind=st.just("sgd"), lr=lrs, momentum=momenta, weight_decay=decays)
rmsprops = st.builds(
    RmsProp,
    kind=st.just("rmsprop"),
    lr=lrs,
    alpha=betas,
    eps=epsilons,
    momentum=momenta,
    weight_decay=decays,
)
adams = st.builds(
    Adam,
    kind=st.just("adam"),
    lr=lrs,
    betas=st.tuples(betas, betas),
    eps=epsilons,
    weight_decay=decays,
)
adamws = st.builds(
    AdamW,
    kind=st.just("adamw"),
    lr=lrs,
    betas=st.tuples(betas, betas),
    eps=epsilons,
    weight_decay=decays,
)
#: One to four jobs of each kind.
PACKS: dict[str, st.SearchStrategy[Sequence[Optimizer]]] = {
    "sgd": st.lists(sgds, min_size=1, max_size=4),
    "rmsprop": st.lists(rmsprops, min_size=1, max_size=4),
    "adam": st.lists(adams, min_size=1, max_size=4),
    "adamw": st.lists(adamws, min_size=1, max_size=4),
}
each_kind = pytest.mark.parametrize("kind", PACKS)


def _draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _lrs_of(specs: Sequence[Optimizer]) -> Tensor:
    return torch.tensor([spec.lr for spec in specs], dtype=torch.float64)


def _make(specs: Sequence[Optimizer], num_parameters: int) -> FlatOptimizer:
    return make_optimizer(specs, num_parameters, torch.device("cpu"), torch.float32)


def _steps(seed: int, jobs: int, num_parameters: int) -> Iterator[tuple[Tensor, Tensor]]:
    """20 steps: gradients (K, P), from vanishing to exploding ones, and who takes part, (K,)."""
    sizes_SK1 = 10 ** (10 * _draw(seed + 1, 20, jobs, 1)).clamp(-15, 15)
    gradients_SKP = sizes_SK1 * _draw(seed + 2, 20, jobs, num_parameters)
    yield from zip(gradients_SKP, _draw(seed + 3, 20, jobs) > -1, strict=True)


@dataclass
class SlowOptimizer:
    """One job's rule in numpy's float32, where every operation rounds correctly by itself."""

    spec: Optimizer
    mean: Floats
    square: Floats
    updates: int = 0

    def step(self, parameters_P: Floats, gradients_P: Floats) -> Floats:
        """The parameters after one more step; `mean` is also the momentum."""
        spec, self.updates = self.spec, self.updates + 1
        lr, decay = F(spec.lr), F(spec.weight_decay)
        if isinstance(spec, AdamW):
            shrunk_P = parameters_P * F(1 - spec.lr * spec.weight_decay)
            return shrunk_P - self._adam(spec, gradients_P)
        penalised_P = parameters_P * decay + gradients_P
        if isinstance(spec, Adam):
            return parameters_P - self._adam(spec, penalised_P)
        if isinstance(spec, RmsProp):
            new_P = penalised_P * penalised_P * F(1 - spec.alpha)
            self.square = self.square * F(spec.alpha) + new_P
            penalised_P = penalised_P / (np.sqrt(self.square) + F(spec.eps))
        self.mean = self.mean * F(spec.momentum) + penalised_P
        return parameters_P - self.mean * lr

    def _adam(self, spec: Adam | AdamW, gradients_P: Floats) -> Floats:
        beta1, beta2 = spec.betas
        self.mean = self.mean * F(beta1) + gradients_P * F(1 - beta1)
        self.square = self.square * F(beta2) + gradients_P * gradients_P * F(1 - beta2)
        power1, power2 = (math.prod([beta] * self.updates) for beta in spec.betas)
        root_P: Floats = np.sqrt(self.square)
        direction_P = self.mean / (root_P / F(math.sqrt(1 - power2)) + F(spec.eps))
        return direction_P * F(spec.lr / (1 - power1))


@each_kind
@given(data=st.data(), num_parameters=st.integers(1, 40), seed=st.integers(0, 1000))
def test_kernel_has_the_bits_of_single_operations(
    kind: str, data: st.DataObject, num_parameters: int, seed: int
) -> None:
    """Each job is, in every bit, where its rule in numpy is after the steps it took part in."""
    specs = data.draw(PACKS[kind])
    parameters_KP = _draw(seed, len(specs), num_parameters)
    slow_P = list(parameters_KP.numpy().copy())
    nothing_P = np.zeros(num_parameters, np.float32)
    slow = [SlowOptimizer(spec, nothing_P, nothing_P) for spec in specs]
    optimizer = _make(specs, num_parameters)
    for gradients_KP, active_K in _steps(seed, len(specs), num_parameters):
        optimizer.step(parameters_KP, gradients_KP, _lrs_of(specs), active_K)
        for job in active_K.nonzero().flatten().tolist():
            slow_P[job] = slow[job].step(slow_P[job], gradients_KP[job].numpy())

    assert np.array_equal(parameters_KP.numpy(), np.stack(slow_P), equal_nan=True)


@each_kind
@given(data=st.data(), num_parameters=st.integers(1, 40), seed=st.integers(0, 1000))
def test_kernel_remembers_what_the_rule_on_tensors_does(
    kind: str, data: st.DataObject, num_parameters: int, seed: int
) -> None:
    """From the same parameters and gradients both have the same memory, in every bit.

    But for RMSprop's momentum: it is a sum of quotients by a root, and torch's root may be an ulp
    off. So are all parameters but those of plain gradient descent.
    """
    specs = data.draw(PACKS[kind])
    parameters_KP = _draw(seed, len(specs), num_parameters)
    kernel, rule = _make(specs, num_parameters), _make(specs, num_parameters)
    for gradients_KP, active_K in _steps(seed, len(specs), num_parameters):
        by_kernel_KP = parameters_KP.clone()
        kernel.step(by_kernel_KP, gradients_KP, _lrs_of(specs), active_K)
        rule.step_by_tensors(parameters_KP, gradients_KP, _lrs_of(specs), active_K)

        assert kind != "sgd" or torch.equal(by_kernel_KP, parameters_KP)
        for name in rule.state.keys() - ({"momentum"} if kind == "rmsprop" else set()):
            assert torch.equal(kernel.state[name], rule.state[name])


@pytest.mark.parametrize(
    "spec",
    [
        Sgd(kind="sgd", momentum=0.9, weight_decay=0.1),
        RmsProp(kind="rmsprop", momentum=0.9, weight_decay=0.1),
        Adam(kind="adam", weight_decay=0.1),
        AdamW(kind="adamw", weight_decay=0.1),
    ],
    ids=lambda spec: spec.kind,
)
def test_kernel_leaves_a_job_that_sits_out_alone(spec: Optimizer) -> None:
    """Whatever its gradient, its parameters and all of its memory keep every bit."""
    parameters_KP = _draw(0, 3, 7)
    optimizer = _make([spec] * 3, 7)
    optimizer.step(parameters_KP, _draw(1, 3, 7), _lrs_of([spec] * 3), torch.ones(3) > 0)
    written = [parameters_KP, *optimizer.state.values()]
    before = [tensor.clone() for tensor in written]
    gradients_KP = _draw(2, 3, 7)
    gradients_KP[1] = torch.tensor([torch.nan, torch.inf, -torch.inf, 0, 1, 1e38, 1e-45])
    active_K = torch.tensor([True, False, True])
    optimizer.step(parameters_KP, gradients_KP, _lrs_of([spec] * 3), active_K)

    for tensor, kept in zip(written, before, strict=True):
        assert torch.equal(tensor[1], kept[1])
        assert not torch.equal(tensor[0], kept[0])
        assert not torch.equal(tensor[2], kept[2])
