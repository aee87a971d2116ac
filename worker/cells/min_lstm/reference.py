"""The minimal LSTM: a running mean of candidates, weighed by a forget and an input gate.

    f_t, i_t = sigmoid(W x_t + b),  h_t = (f_t * h_{t-1} + i_t * (W_h x_t + b_h)) / (f_t + i_t)

What is kept is f/(f+i) = sigmoid(log f - log i), which holds where f and i both underflow.

Shapes: K jobs of a pack, T time steps, B sequences, H hidden units. Parameters: W_f, W_i and W_h,
one below the other, are `weight_ih`, and the three biases `bias_ih`.

Source:
    Feng et al., "Were RNNs all we needed?", arXiv 2410.01201.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from worker.cells.minimal import MinimalGates


class MinLstmGates(MinimalGates):
    """Two gates, f and i, of which only their ratio counts."""

    count = 2

    def keep_logit(self, gates: Sequence[Tensor]) -> Tensor:
        """The logit of f/(f+i), which is log f - log i."""
        forget_KTBH, write_KTBH = gates
        return functional.logsigmoid(forget_KTBH) - functional.logsigmoid(write_KTBH)

    def deltas(self, gates: Sequence[Tensor], delta_KTBH: Tensor) -> list[Tensor]:
        """The gradient by d times 1 - f, and times -(1 - i)."""
        forget_KTBH, write_KTBH = gates
        return [delta_KTBH * (-forget_KTBH).sigmoid(), -delta_KTBH * (-write_KTBH).sigmoid()]
