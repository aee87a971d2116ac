"""The gate of a Skip RNN, that decides for each sequence when its state is updated.

    u_t = round(p_t),  p_1 = 1,  d_t = sigmoid(w s_t + b)
    p_{t+1} = u_t d_t + (1-u_t) (p_t + min(d_t, 1-p_t))
    dL/dp_t = dL/du_t + (1-u_t) [d_t <= 1-p_t] dL/dp_{t+1},  the straight-through estimator

So d_t is how fast p grows from one update to the next: the smaller, the more steps are skipped.

Shapes: K jobs of a pack, T time steps, B sequences, H hidden units.

Source:
    Campos et al., "Skip RNN: learning to skip state updates in recurrent neural networks", ICLR
    2018, equations 2 to 6.
"""

import torch
from torch import Tensor

from worker.training.parameters import LayerParameters


class UpdateGate:
    """The gate over one forward pass; it can be taken back once.

    Args:
        parameters: of the layer, `skip_weight` (K, 1, H) and `skip_bias` (K, 1) among them.
        chance_KB1: p before the first step.
    """

    def __init__(self, parameters: LayerParameters, chance_KB1: Tensor) -> None:
        self._weight_K1H = parameters["skip_weight"]
        self._bias_K11 = parameters["skip_bias"].unsqueeze(2)
        self._chances = [chance_KB1]
        self._rates: list[Tensor] = []
        self._slopes: list[Tensor] = []

    @property
    def next_chance(self) -> Tensor:
        """The next step's p, (K, B, 1)."""
        return self._chances[-1]

    def updates(self, step: int) -> Tensor:
        """Whether the step, that must have been reached, updates a sequence: (K, B, 1) bool."""
        return self._chances[step] > 0.5  # noqa: PLR2004 - as round does, 0.5 to 0

    def update_fraction(self) -> Tensor:
        """(K,) float64 share of the steps done, over all sequences, that were updates."""
        updates_KTB1 = torch.stack([self.updates(step) for step in range(len(self._rates))], dim=1)
        return updates_KTB1.double().mean(dim=(1, 2, 3))

    def advance(self, state_KBH: Tensor) -> None:
        """End a step whose state is s_t."""
        rate_KB1 = torch.baddbmm(self._bias_K11, state_KBH, self._weight_K1H.transpose(1, 2))
        rate_KB1.sigmoid_()
        chance_KB1 = self.next_chance
        grown_KB1 = chance_KB1 + torch.minimum(rate_KB1, 1 - chance_KB1)
        updates_KB1 = self.updates(len(self._rates))
        self._rates.append(rate_KB1)
        self._chances.append(torch.where(updates_KB1, rate_KB1, grown_KB1))

    def step_back(
        self, step: int, grad_chance_KB1: Tensor, grad_state_KBH: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Go back over a step; steps come in reverse order.

        Args:
            step: from 0.
            grad_chance_KB1: gradient by p_{t+1}.
            grad_state_KBH: the gradient by s_t is added to it.

        Returns:
            The gradients by u_t and, but for the one by u_t, by p_t, as far as they come through
            p_{t+1}; each (K, B, 1).
        """
        chance_KB1, rate_KB1 = self._chances[step], self._rates[step]
        growth_KB1 = torch.minimum(rate_KB1, 1 - chance_KB1)
        grows_KB1 = rate_KB1 <= 1 - chance_KB1
        updates_KB1 = self.updates(step)
        slope_KB1 = grad_chance_KB1 * (updates_KB1 | grows_KB1) * rate_KB1 * (1 - rate_KB1)
        grad_state_KBH.addcmul_(slope_KB1, self._weight_K1H)
        self._slopes.append(slope_KB1)
        grad_update_KB1 = grad_chance_KB1 * (rate_KB1 - chance_KB1 - growth_KB1)
        return grad_update_KB1, grad_chance_KB1 * (~updates_KB1 & grows_KB1)

    def finish_backward(self, states_KTBH: Tensor, gradients: LayerParameters) -> None:
        """Fill in the gradients of w and b, `states` being all s_t."""
        slopes_K1N = torch.stack(self._slopes[::-1], dim=1).flatten(1).unsqueeze(1)
        gradients["skip_weight"].copy_(torch.bmm(slopes_K1N, states_KTBH.flatten(1, 2)))
        gradients["skip_bias"].copy_(slopes_K1N.sum(dim=2))
