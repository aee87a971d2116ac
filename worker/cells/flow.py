"""What a layer's backward pass shows of the gradient on its way through time.

Shapes: K jobs of a pack, T time steps, B sequences, H hidden units, G gates times H.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor


@dataclass(frozen=True)
class LayerFlow:
    """How the gradient came back through one layer, and how its units behaved."""

    grad_norm_KT: Tensor
    """float64 norm over batch and units of dL/dh_t, of an LSTM's dL/d(h_t, c_t), or of the
    gradient by an LRU's complex state.

    The derivative is the total one, with every path through later steps and upper layers. For h_t
    it is what autograd leaves in `h_t.grad`; c_t counts as what step t hands on to the next.
    """
    weight_term_norm_KT: Tensor
    """float64 Frobenius norm of the term of dL/dW_hh through step t, the sum over the batch of
    delta_t h_{t-1}^T; the terms add up to dL/dW_hh. For an LRU it is the term of dL/dLambda; nan if
    the cell has no recurrent weights."""
    saturation_K: Tensor
    """float64 share of activations at their flat ends, in [0, 1]."""
    silent_KH: Tensor | None
    """Whether a unit was 0 over batch and time; None if the cell's units cannot die."""
    update_fraction_K: Tensor | None = None
    """float64 share of steps, over batch and time, that updated the state; None if all have to."""


def join_in_time(flows: Sequence[LayerFlow]) -> LayerFlow:
    """The flow of a sequence from those of its consecutive parts."""
    if len(flows) == 1:
        return flows[0]
    silent = [flow.silent_KH for flow in flows if flow.silent_KH is not None]
    updated = [flow.update_fraction_K for flow in flows if flow.update_fraction_K is not None]
    steps = [flow.grad_norm_KT.shape[1] for flow in flows]
    return LayerFlow(
        grad_norm_KT=torch.cat([flow.grad_norm_KT for flow in flows], dim=1),
        weight_term_norm_KT=torch.cat([flow.weight_term_norm_KT for flow in flows], dim=1),
        saturation_K=_mean_over_time([flow.saturation_K for flow in flows], steps),
        silent_KH=torch.stack(silent).all(dim=0) if silent else None,
        update_fraction_K=_mean_over_time(updated, steps) if updated else None,
    )


def join_jobs(flows: Sequence[LayerFlow]) -> LayerFlow:
    """The flow of a pack from those of parts of its jobs."""
    silent = [flow.silent_KH for flow in flows if flow.silent_KH is not None]
    updated = [flow.update_fraction_K for flow in flows if flow.update_fraction_K is not None]
    return LayerFlow(
        grad_norm_KT=torch.cat([flow.grad_norm_KT for flow in flows]),
        weight_term_norm_KT=torch.cat([flow.weight_term_norm_KT for flow in flows]),
        saturation_K=torch.cat([flow.saturation_K for flow in flows]),
        silent_KH=torch.cat(silent) if silent else None,
        update_fraction_K=torch.cat(updated) if updated else None,
    )


def _mean_over_time(shares: Sequence[Tensor], steps: Sequence[int]) -> Tensor:
    """The share over all steps, from those over parts of so many steps."""
    weighted = [count * share_K for count, share_K in zip(steps, shares, strict=True)]
    return sum_in_order(weighted) / sum(steps)


def sum_in_order(tensors: Sequence[Tensor]) -> Tensor:
    """The sum of at least one tensor, added one after the other.

    torch's own reduction adds in an order that depends on how many columns there are: a job's bits
    would depend on its company.
    """
    return reduce(torch.add, tensors)


def state_gradient_norm(grad_states: Sequence[Tensor]) -> Tensor:
    """`LayerFlow.grad_norm_KT` from the gradients (K, T, B, H) by each part of the state."""
    norms = [
        torch.linalg.vector_norm(gradient_KTBH, dim=(2, 3), dtype=torch.float64)
        for gradient_KTBH in grad_states
    ]
    combined_KT: Tensor = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return combined_KT


def weight_term_norm(
    h_KTBH: Tensor, delta_KTBG: Tensor, initial_KBH: Tensor | None = None
) -> Tensor:
    """`LayerFlow.weight_term_norm_KT` from the states and the deltas of W_hh h_{t-1}."""
    first_KBH = torch.zeros_like(h_KTBH[:, 0]) if initial_KBH is None else initial_KBH
    before = [first_KBH, *h_KTBH[:, :-1].unbind(1)]
    # A step at a time: the terms of all of them would be T times the weights.
    norms = [
        torch.linalg.vector_norm(
            torch.bmm(delta_KBG.transpose(1, 2), before_KBH), dim=(1, 2), dtype=torch.float64
        )
        for delta_KBG, before_KBH in zip(delta_KTBG.unbind(1), before, strict=True)
    ]
    return torch.stack(norms, dim=1)
