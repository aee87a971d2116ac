"""Networks as a plain torch program writes them, with their first weights given.

Shapes: T time steps, B sequences, I inputs, H hidden units, O outputs.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.sides.side import Start
from benchmarks.work import INPUT_SIZE, OUTPUT_SIZE
from contract.spec import JobSpec, LeakyRelu, Relu


class LeakyRnn(nn.Module):
    """An RNN with a leaky ReLU, which torch does not offer: a loop over time.

    The input's projection and both biases are taken out of the loop, the fastest plain way. The
    parameters have the names that `nn.RNN` gives them.
    """

    def __init__(self, hidden_size: int, negative_slope: float) -> None:
        super().__init__()
        self._negative_slope = negative_slope
        self.weight_ih_l0 = nn.Parameter(torch.empty(hidden_size, INPUT_SIZE))
        self.weight_hh_l0 = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias_ih_l0 = nn.Parameter(torch.empty(hidden_size))
        self.bias_hh_l0 = nn.Parameter(torch.empty(hidden_size))

    def forward(self, x_TBI: Tensor) -> tuple[Tensor, Tensor]:
        """Run over all time steps from h_0 = 0; returns all states (T, B, H) and the last one."""
        bias_H = self.bias_ih_l0 + self.bias_hh_l0
        projected_TBH = functional.linear(x_TBI, self.weight_ih_l0, bias_H)
        h_BH = torch.zeros_like(projected_TBH[0])
        states: list[Tensor] = []
        for projected_BH in projected_TBH.unbind(0):
            sum_BH = torch.addmm(projected_BH, h_BH, self.weight_hh_l0.t())
            h_BH = functional.leaky_relu(sum_BH, self._negative_slope)
            states.append(h_BH)
        return torch.stack(states), h_BH


class LastStepNetwork(nn.Module):
    """A recurrent layer and a linear readout of its last state."""

    def __init__(self, rnn: nn.Module, hidden_size: int) -> None:
        super().__init__()
        self.rnn = rnn
        self.readout = nn.Linear(hidden_size, OUTPUT_SIZE)

    def forward(self, x_TBI: Tensor) -> Tensor:
        """Predict (B, O)."""
        h_TBH, _ = self.rnn(x_TBI)
        prediction_BO: Tensor = self.readout(h_TBH[-1])
        return prediction_BO


def make_network(start: Start) -> LastStepNetwork:
    """The network of a job, with the weights it starts from."""
    network = LastStepNetwork(_make_rnn(start.spec), start.spec.cell.hidden_size)
    network.load_state_dict(start.parameters)
    return network


def _make_rnn(spec: JobSpec) -> nn.Module:
    hidden_size, activation = spec.cell.hidden_size, spec.remedy.activation
    match spec.cell.kind:
        case "lstm":
            return nn.LSTM(INPUT_SIZE, hidden_size)
        case "gru":
            return nn.GRU(INPUT_SIZE, hidden_size)
        case "rnn":
            if isinstance(activation, LeakyRelu):
                return LeakyRnn(hidden_size, activation.negative_slope)
            nonlinearity = "relu" if isinstance(activation, Relu) else "tanh"
            return nn.RNN(INPUT_SIZE, hidden_size, nonlinearity=nonlinearity)
        case kind:
            raise ValueError(f"torch has no {kind}")
