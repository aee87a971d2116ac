"""The Skip RNN as a plain torch program writes it: a loop over time, autograd behind it.

Shapes: T time steps, B sequences, H hidden units.
"""

import torch
from torch import Tensor, nn

from benchmarks.sides.networks import LastStepNetwork
from benchmarks.sides.side import Start
from benchmarks.work import INPUT_SIZE

_CELLS: dict[str, type[nn.RNNCellBase]] = {
    "rnn": nn.RNNCell,
    "gru": nn.GRUCell,
    "lstm": nn.LSTMCell,
}
_GATE_BIAS = 1.0


class SkipLayer(nn.Module):
    """A cell whose state is updated only where a learned, binary gate says so.

    With the cell S, the state s_t and the gate u_t of each sequence:

        u_t = round(p_t), p_1 = 1
        s_t = u_t S(s_{t-1}, x_t) + (1 - u_t) s_{t-1}
        d_t = sigmoid(w s_t + b)
        p_{t+1} = u_t d_t + (1 - u_t) (p_t + min(d_t, 1 - p_t))

    The gradient passes the rounding as if it were not there. An LSTM's state is (h, c), its gate
    looks at h.

    Source:
        Campos et al., "Skip RNN: learning to skip state updates in recurrent neural networks",
        ICLR 2018.
    """

    def __init__(self, kind: str, hidden_size: int) -> None:
        super().__init__()
        self.cell = _CELLS[kind](INPUT_SIZE, hidden_size)  # type: ignore[call-arg]
        self.gate = nn.Linear(hidden_size, 1)
        nn.init.constant_(self.gate.bias, _GATE_BIAS)
        self._states = 2 if kind == "lstm" else 1

    def forward(self, x_TBI: Tensor) -> tuple[Tensor, Tensor]:
        """Run over all time steps from a state of 0; returns all h (T, B, H) and all u (T, B)."""
        batch_size, hidden_size = x_TBI.shape[1], self.gate.in_features
        state = tuple(x_TBI.new_zeros(batch_size, hidden_size) for _ in range(self._states))
        probability_B1 = x_TBI.new_ones(batch_size, 1)
        hidden: list[Tensor] = []
        gates: list[Tensor] = []
        for x_BI in x_TBI.unbind(0):
            gate_B1 = probability_B1 + (probability_B1.round() - probability_B1).detach()
            state = self._advance(x_BI, state, gate_B1)
            probability_B1 = self._next_probability(state[0], gate_B1, probability_B1)
            hidden.append(state[0])
            gates.append(gate_B1[:, 0])
        return torch.stack(hidden), torch.stack(gates)

    def _advance(
        self, x_BI: Tensor, state: tuple[Tensor, ...], gate_B1: Tensor
    ) -> tuple[Tensor, ...]:
        proposed = self.cell(x_BI, state) if self._states > 1 else (self.cell(x_BI, *state),)
        return tuple(
            gate_B1 * new_BH + (1 - gate_B1) * old_BH
            for new_BH, old_BH in zip(proposed, state, strict=True)
        )

    def _next_probability(self, h_BH: Tensor, gate_B1: Tensor, probability_B1: Tensor) -> Tensor:
        step_B1 = torch.sigmoid(self.gate(h_BH))
        waited_B1 = probability_B1 + torch.minimum(step_B1, 1 - probability_B1)
        return gate_B1 * step_B1 + (1 - gate_B1) * waited_B1


def make_skip_network(start: Start) -> LastStepNetwork:
    """The network of a job, with the weights of cell and readout it starts from.

    The gate starts from weights of its own: at its bias of 1 it is open at every time step, so the
    first loss depends on nothing but cell and readout.
    """
    cell = start.spec.cell
    layer = SkipLayer(cell.kind, cell.hidden_size)
    network = LastStepNetwork(layer, cell.hidden_size)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    layer.cell.load_state_dict({name: start.parameters[f"rnn.{name}_l0"] for name in names})
    readout = {name: start.parameters[f"readout.{name}"] for name in ("weight", "bias")}
    network.readout.load_state_dict(readout)
    return network
