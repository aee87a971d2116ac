"""Linear recurrences over time in log T levels of tensor operations instead of T.

Shapes: K jobs of a pack, T time steps, B sequences, H hidden units.

Neighbouring steps are joined in pairs, the half as long recurrence of the pairs gives every second
state, and one step each gives the states between: O(T) multiplications in all, forward as well as
back. Nothing is divided, so decays of 0, or products of decays that underflow, do no harm.

Source:
    Blelloch, "Prefix sums and their applications", 1990; for linear recurrences Martin & Cundy,
    "Parallelizing linear recurrent neural nets over sequence length", ICLR 2018.
"""

import torch
from torch import Tensor


def scan(decay_KTBH: Tensor, drive_KTBH: Tensor) -> Tensor:
    """The states h_t = a_t * h_{t-1} + b_t, with h_0 = 0: (K, T, B, H).

    Args:
        decay_KTBH: a, real or complex; axes other than time may have length 1 and are broadcast.
            a_1 is not used.
        drive_KTBH: b, at least one time step.
    """
    time_steps = drive_KTBH.shape[1]
    if time_steps == 1:
        return drive_KTBH.clone()
    pairs = time_steps // 2
    second_decay, second_drive = decay_KTBH[:, 1::2], drive_KTBH[:, 1::2]
    pair_decay = second_decay * decay_KTBH[:, : 2 * pairs : 2]
    pair_drive = second_drive + second_decay * drive_KTBH[:, : 2 * pairs : 2]
    after_pairs = scan(pair_decay, pair_drive)
    state_KTBH = torch.empty_like(drive_KTBH)
    state_KTBH[:, 0] = drive_KTBH[:, 0]
    state_KTBH[:, 1::2] = after_pairs
    between = after_pairs[:, : (time_steps - 1) // 2]
    state_KTBH[:, 2::2] = drive_KTBH[:, 2::2] + decay_KTBH[:, 2::2] * between
    return state_KTBH


def scan_backward(decay_KTBH: Tensor, grad_outside_KTBH: Tensor) -> Tensor:
    """The whole gradient by every state, g_t = d_t + conj(a_{t+1}) * g_{t+1}: (K, T, B, H).

    Then b_t has the gradient g_t and a_t the gradient g_t * conj(h_{t-1}). A complex gradient is
    dL/dRe + i dL/dIm, as in torch.

    Args:
        decay_KTBH: as in `scan`.
        grad_outside_KTBH: d, by every state from outside the recurrence.
    """
    # Seen from the end, step t decays by a_{t+1}; the first one's decay is not used.
    backwards = decay_KTBH.flip(1).roll(1, dims=1).conj()
    return scan(backwards, grad_outside_KTBH.flip(1)).flip(1)
