"""The parallel scan against the recurrence it computes, step by step.

Shapes: K jobs of a pack, T time steps, B sequences, H hidden units.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from worker.cells.scan import scan, scan_backward

DTYPES = [torch.float64, torch.complex128]


def step_by_step(decay_KTBH: Tensor, drive_KTBH: Tensor) -> Tensor:
    """h_t = a_t h_{t-1} + b_t, one after the other."""
    states = [drive_KTBH[:, 0]]
    for step in range(1, drive_KTBH.shape[1]):
        states.append(decay_KTBH[:, step] * states[-1] + drive_KTBH[:, step])
    return torch.stack(states, dim=1)


def drawn(*shape: int, seed: int, dtype: torch.dtype) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@settings(max_examples=60, deadline=None)
@given(
    jobs=st.integers(1, 3),
    time_steps=st.integers(1, 40),
    sequences=st.integers(1, 3),
    dtype=st.sampled_from(DTYPES),
    shares_decay=st.booleans(),
)
def test_scan_is_the_recurrence(
    jobs: int, time_steps: int, sequences: int, dtype: torch.dtype, *, shares_decay: bool
) -> None:
    """For any length, real or complex, the states are those of the loop over time."""
    decay_B = 1 if shares_decay else sequences
    decay_KTBH = drawn(jobs, time_steps, decay_B, 2, seed=1, dtype=dtype) / 2
    drive_KTBH = drawn(jobs, time_steps, sequences, 2, seed=2, dtype=dtype)

    torch.testing.assert_close(
        scan(decay_KTBH, drive_KTBH), step_by_step(decay_KTBH, drive_KTBH), rtol=1e-12, atol=1e-12
    )


@settings(max_examples=40, deadline=None)
@given(time_steps=st.integers(1, 40), dtype=st.sampled_from(DTYPES))
def test_backward_scan_is_the_gradient_by_every_drive(time_steps: int, dtype: torch.dtype) -> None:
    """It is what autograd finds for b_t through the loop over time."""
    decay_KTBH = drawn(2, time_steps, 2, 3, seed=3, dtype=dtype) / 2
    drive_KTBH = drawn(2, time_steps, 2, 3, seed=4, dtype=dtype).requires_grad_()
    outside_KTBH = drawn(2, time_steps, 2, 3, seed=5, dtype=dtype)
    (expected_KTBH,) = torch.autograd.grad(
        step_by_step(decay_KTBH, drive_KTBH), drive_KTBH, outside_KTBH
    )

    torch.testing.assert_close(
        scan_backward(decay_KTBH, outside_KTBH), expected_KTBH, rtol=1e-12, atol=1e-12
    )


def test_scan_by_hand() -> None:
    """Decays (-, 2, 0, 3) and drives (1, 1, 5, -1) give the states (1, 3, 5, 14)."""
    decay = torch.tensor([7.0, 2.0, 0.0, 3.0]).view(1, 4, 1, 1)
    drive = torch.tensor([1.0, 1.0, 5.0, -1.0]).view(1, 4, 1, 1)

    assert scan(decay, drive).flatten().tolist() == [1, 3, 5, 14]


def test_backward_scan_by_hand() -> None:
    """A gradient of 1 by the last of three states is the product of the decays after each."""
    decay = torch.tensor([7.0, 2.0, 3.0]).view(1, 3, 1, 1)
    outside = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1)

    assert scan_backward(decay, outside).flatten().tolist() == [6, 3, 1]


@pytest.mark.parametrize("decay", [0.0, 1e-30])
def test_vanishing_decays_leave_the_drives(decay: float) -> None:
    """Products of decays that are 0 in float32 are no harm: each state is its own drive."""
    drive_KTBH = drawn(1, 33, 2, 3, seed=6, dtype=torch.float32)

    assert torch.equal(scan(torch.full_like(drive_KTBH, decay), drive_KTBH), drive_KTBH)


def test_sum_of_many_steps_is_exact() -> None:
    """With decays of 1 the states are the sums of the drives, over 5,000 steps."""
    drive_KTBH = torch.ones(1, 5_000, 1, 1)

    states = scan(torch.ones_like(drive_KTBH), drive_KTBH).flatten()

    assert torch.equal(states, torch.arange(1.0, 5_001.0))
