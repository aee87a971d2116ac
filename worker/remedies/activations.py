"""The RNN's nonlinearity, its derivatives from its output, and how much of it lies flat.

Shapes: K jobs of a pack, T time steps, B sequences, H hidden units. The derivative comes from the
output h = phi(a), so that the input a need not be kept.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from contract.spec.remedy import Activation, LeakyRelu, ModRelu, Relu, Tanh
from worker.training.parameters import LayerParameters

# |h| above this counts as the flat end of tanh: its slope there is below 0.06.
TANH_FLAT = 0.97


class Nonlinearity(ABC):
    """An elementwise function with its derivatives."""

    is_tanh = False
    """Whether it is tanh; the others are straight lines."""
    has_bias = False
    """Whether it is modReLU, with its `activation_bias`; of the others all but tanh bend at 0."""
    can_die = False
    """Whether a unit can be 0 for every input."""

    def __init__(self, slopes: Sequence[float]) -> None:
        self.slopes = np.array(slopes, np.float32)
        """(K,) derivative where the input is negative; unused for tanh and modReLU."""

    def of_layer(self, parameters: LayerParameters) -> "Nonlinearity":  # noqa: ARG002 - most learn nothing
        """The same with what it learns taken from a layer's parameters, views with a pack axis."""
        return self

    @abstractmethod
    def apply_(self, a_KBH: Tensor) -> None:
        """Replace `a` by phi(a), in place."""

    @abstractmethod
    def derivative(self, h_KTBH: Tensor) -> Tensor:
        """phi'(a) where phi(a) = h, in a new tensor; at a kink the smaller one."""

    def learned_gradients(self, h_KTBH: Tensor, delta_KTBH: Tensor) -> LayerParameters:  # noqa: ARG002 - most learn nothing
        """The gradients of what it learns, from h = phi(a) and the gradient by a."""
        return {}

    def saturation(self, h_KTBH: Tensor) -> Tensor:
        """(K,) float64 share of the activations at a flat end, in [0, 1]; 0 if it has none."""
        return torch.zeros(len(h_KTBH), dtype=torch.float64, device=h_KTBH.device)

    def silent(self, h_KTBH: Tensor) -> Tensor | None:  # noqa: ARG002 - most cannot die
        """(K, H) whether a unit is 0 over batch and time; None if none can die."""
        return None


class _Tanh(Nonlinearity):
    """tanh(a); derivative 1 - h^2."""

    is_tanh = True

    def apply_(self, a_KBH: Tensor) -> None:
        a_KBH.tanh_()

    def derivative(self, h_KTBH: Tensor) -> Tensor:
        return torch.mul(h_KTBH, h_KTBH).neg_().add_(1)

    def saturation(self, h_KTBH: Tensor) -> Tensor:
        return (h_KTBH.abs() > TANH_FLAT).double().mean(dim=(1, 2, 3))


class _Relu(Nonlinearity):
    """max(a, 0); derivative 1 where h > 0, else 0.

    Source:
        Le, Jaitly & Hinton, arXiv 1504.00941, for recurrent networks.
    """

    can_die = True

    def apply_(self, a_KBH: Tensor) -> None:
        a_KBH.relu_()

    def derivative(self, h_KTBH: Tensor) -> Tensor:
        return (h_KTBH > 0).to(h_KTBH.dtype)

    def silent(self, h_KTBH: Tensor) -> Tensor | None:
        return (h_KTBH == 0).all(dim=2).all(dim=1)


class _LeakyRelu(Nonlinearity):
    """max(a, slope*a), each job with its own slope; derivative 1 where h > 0, else slope.

    Source:
        Maas, Hannun & Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.
    """

    def __init__(self, slopes: Sequence[float], device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(slopes)
        self._slope_K11 = torch.tensor(slopes, device=device, dtype=dtype).view(-1, 1, 1)
        self._one = torch.ones((), device=device, dtype=dtype)

    def apply_(self, a_KBH: Tensor) -> None:
        # Slopes lie in [0, 1), so the larger of the two is the right one on either side.
        torch.maximum(a_KBH, a_KBH * self._slope_K11, out=a_KBH)

    def derivative(self, h_KTBH: Tensor) -> Tensor:
        return torch.where(h_KTBH > 0, self._one, self._slope_K11.unsqueeze(1))


class _ModRelu(Nonlinearity):
    """sign(a)*max(|a| + b, 0); derivatives 1 by a and sign(a) by b where h is not 0, else 0.

    For b > 0 it jumps from -b to b at a = 0, where it is 0 and so are its derivatives.

    Source:
        Arjovsky, Shah & Bengio, "Unitary evolution recurrent neural networks", ICML 2016, eq. 8;
        for real numbers Helfrich, Willmott & Ye, "Orthogonal recurrent neural networks with scaled
        Cayley transform", ICML 2018.
    """

    has_bias = True
    can_die = True

    def __init__(self, slopes: Sequence[float], bias_K1H: Tensor) -> None:
        super().__init__(slopes)
        self._bias_K1H = bias_K1H

    def of_layer(self, parameters: LayerParameters) -> Nonlinearity:
        return _ModRelu(self.slopes.tolist(), parameters["activation_bias"].unsqueeze(1))

    def apply_(self, a_KBH: Tensor) -> None:
        sign_KBH = a_KBH.sign()
        a_KBH.abs_().add_(self._bias_K1H).relu_().mul_(sign_KBH)

    def derivative(self, h_KTBH: Tensor) -> Tensor:
        return (h_KTBH != 0).to(h_KTBH.dtype)

    def learned_gradients(self, h_KTBH: Tensor, delta_KTBH: Tensor) -> LayerParameters:
        # The sign of h is that of a; where h is 0 there is no delta.
        return {"activation_bias": (delta_KTBH * h_KTBH.sign()).sum(dim=(1, 2))}

    def silent(self, h_KTBH: Tensor) -> Tensor | None:
        return (h_KTBH == 0).all(dim=2).all(dim=1)


def make_nonlinearity(
    activations: Sequence[Activation | None], device: torch.device, dtype: torch.dtype
) -> Nonlinearity:
    """The nonlinearity of a pack.

    Args:
        activations: one a job, all of one kind; None is tanh.
        device: of the tensors it will be given.
        dtype: of the same tensors.

    Raises:
        ValueError: if the kinds differ, or there is none.
    """
    chosen = [activation or Tanh(kind="tanh") for activation in activations]
    kinds = {type(activation) for activation in chosen}
    if kinds == {Tanh}:
        return _Tanh([0.0] * len(chosen))
    if kinds == {Relu}:
        return _Relu([0.0] * len(chosen))
    if kinds == {LeakyRelu}:
        slopes = [a.negative_slope for a in chosen if isinstance(a, LeakyRelu)]
        return _LeakyRelu(slopes, device, dtype)
    if kinds == {ModRelu}:
        start_K1H = torch.zeros(len(chosen), 1, 1, device=device, dtype=dtype)
        return _ModRelu([0.0] * len(chosen), start_K1H)
    raise ValueError("a pack needs activations of one kind")
