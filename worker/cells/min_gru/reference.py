"""The minimal GRU: a running mean of candidates, the update gate's share of each new one.

    z_t = sigmoid(W_z x_t + b_z),  h_t = (1 - z_t) * h_{t-1} + z_t * (W_h x_t + b_h)

Shapes: K jobs of a pack, T time steps, B sequences, H hidden units. Parameters: W_z and W_h, one
below the other, are `weight_ih`, and the two biases `bias_ih`.

Source:
    Feng et al., "Were RNNs all we needed?", arXiv 2410.01201.
"""

from collections.abc import Sequence

from torch import Tensor

from worker.cells.minimal import MinimalGates


class MinGruGates(MinimalGates):
    """One gate, z: the share 1 - z is kept."""

    count = 1

    def keep_logit(self, gates: Sequence[Tensor]) -> Tensor:
        """The negative of z's own logit."""
        return -gates[0]

    def deltas(self, gates: Sequence[Tensor], delta_KTBH: Tensor) -> list[Tensor]:  # noqa: ARG002
        """The negative of the gradient by d."""
        return [-delta_KTBH]
