"""The equations of a cell, one time step at a time, forward and backward; the loops are elsewhere.

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units, G gates times H.

`unrolled.py` lets every step update the state, `skipping.py` those that a gate lets through.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from worker.cells.cell import State
from worker.training.parameters import LayerParameters


@dataclass(frozen=True)
class Trajectory:
    """The states that a layer went through."""

    initial: State
    """Before the first step, each (K, B, H)."""
    states: State
    """After each step, each (K, T, B, H)."""


class Recurrence(ABC):
    """A layer's equations and what one forward pass keeps of them; it can be taken back once."""

    proposed: State
    """The new states, each (K, T, B, H), as far as `step` has filled them in; h comes first."""
    delta_hidden_KTBG: Tensor
    """Once `step_back` has been everywhere: the gradient by W_hh h_{t-1} + b_hh."""

    @abstractmethod
    def step(self, step: int, before: State) -> None:
        """Fill in what a step proposes, given the state before it; steps come in order."""

    @abstractmethod
    def saturation(self) -> Tensor:
        """(K,) float64 share of activations at their flat ends; to be asked before going back."""

    def silent(self) -> Tensor | None:
        """(K, H) whether a unit was 0 over batch and time; None if none can die."""
        return None

    @abstractmethod
    def start_backward(self, trajectory: Trajectory) -> None:
        """Make what was kept into factors of the gradients; `proposed` stays as it is."""

    @abstractmethod
    def step_back(self, step: int, grad: State, grad_before: State) -> None:
        """Go back over a step; steps come in reverse order.

        Args:
            step: from 0.
            grad: gradient by what the step proposed, each part (K, B, H). Read only.
            grad_before: the gradient by the state before the step is added to it.
        """

    @abstractmethod
    def finish_backward(
        self,
        trajectory: Trajectory,
        grads: State,
        gradients: LayerParameters,
        *,
        needs_grad_x: bool,
    ) -> Tensor | None:
        """Fill in the gradients of the parameters; returns that of the inputs if it is needed.

        Args:
            trajectory: as at the start.
            grads: all that `step_back` was given as `grad`, each (K, T, B, H). Read only.
            gradients: of the layer's parameters.
            needs_grad_x: whether a layer below wants the gradient of its output.
        """


def zero_state(states: State) -> State:
    """A state of zeros to stand before others, each (K, T, B, H)."""
    return tuple(torch.zeros_like(part_KTBH[:, 0]) for part_KTBH in states)


def by_step(states: State) -> list[State]:
    """The state after each step, as views."""
    return list(zip(*(part_KTBH.unbind(1) for part_KTBH in states), strict=True))
