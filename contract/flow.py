"""Gradient flow: how much of the loss's gradient reaches each time step.

Shapes: F recorded training steps, L layers, T time steps. A bidirectional layer counts twice, its
forward direction first.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True)
class Flow:
    """The gradient's flow at one training step, as it is stored."""

    step: int
    grad_norm_LT: NDArray[np.float64]
    """Norm of the gradient of the loss at the last target with respect to the state h_t."""
    weight_term_norm_LT: NDArray[np.float64]
    """Norm of the chain-rule term of dL/dW_hh that passes through time step t."""
    reach_L: tuple[int, ...]
    """Most recent time steps whose gradient norm is at least 1 % of the last one's."""


def pack_flow(flow: Flow) -> bytes:
    """Both arrays as little-endian float64, gradient norms first."""
    return np.stack([flow.grad_norm_LT, flow.weight_term_norm_LT]).astype("<f8").tobytes()


def unpack_flow(step: int, reach: list[int], body: bytes) -> Flow:
    """The inverse of `pack_flow`; the layers are as many as there are reaches."""
    both = np.frombuffer(body, "<f8").reshape(2, len(reach), -1)
    return Flow(step, both[0], both[1], tuple(reach))


class LayerFlow(BaseModel):
    """One layer's gradient flow; rows are training steps, columns time steps.

    A bidirectional layer has two, the second being that of the direction which reads the sequence
    from its end. Both are in their own direction of time: the reverse one's first column belongs to
    its first step, which reads the last input, and its last column to the step at which it has
    read everything, so that the two are read alike.
    """

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    layer: int
    """0 is the layer that reads the input."""
    direction: Literal["forward", "reverse"] = "forward"
    """`reverse` for the second direction of a bidirectional layer."""
    grad_norm: list[list[float | None]]
    """`grad_norm[i][t]`: L2 norm of dL_T/dh_t over batch and units at `steps[i]`, L_T being the
    loss at the last target and h_t the state (of an LSTM h_t and c_t, of an lru its complex
    state); null if not finite."""
    weight_term_norm: list[list[float | None]]
    """Frobenius norm of the term of dL/dW_hh (of an lru dL/dLambda) that passes through time step
    t; null for min_gru and min_lstm, which have no recurrent weights."""
    reach: list[int]
    """Most recent time steps whose grad_norm is at least 1 % of the last one's; gaps as long as a
    skip over time are part of them."""


class GradientFlow(BaseModel):
    """How the gradient flows back through time, over the course of training."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    steps: list[int]
    """Training steps at which the flow was recorded."""
    time_steps: list[int]
    """Time steps t of the sequence, from 1; the loss is at the last."""
    layers: list[LayerFlow]
