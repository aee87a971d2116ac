"""The recurrent cell, in torch's names for its sizes."""

from typing import Annotated, Literal

from pydantic import Field

from contract.spec.model import Integer, Number, SpecModel


class _Layers(SpecModel):
    hidden_size: Annotated[Integer, Field(ge=1, le=4_096)] = 64
    """Units of the state of each layer, in each direction."""
    num_layers: Annotated[Integer, Field(ge=1, le=16)] = 1
    """Layers stacked, the first one reading the input."""
    dropout: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Share of each layer's output, but the last one's, that is zeroed at each training step; the
    rest is divided by what is left. Source: Zaremba et al. 2014."""
    bidirectional: Annotated[bool, Field(strict=True)] = False
    """Whether each layer also has a second cell that reads the sequence from its end. Source:
    Schuster & Paliwal 1997."""


class Rnn(_Layers):
    """The Elman network: h_t = phi(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh).

    Source: Elman 1990.
    """

    kind: Literal["rnn"]


class Gru(_Layers):
    """A gated recurrent unit: an update gate and a reset gate.

    Source: Cho et al. 2014, in torch's form (the reset gate after the product).
    """

    kind: Literal["gru"]


class Lstm(_Layers):
    """A long short-term memory: a cell state behind input, forget and output gates.

    Source: Hochreiter & Schmidhuber 1997; the forget gate of Gers et al. 2000.
    """

    kind: Literal["lstm"]


class MinGru(_Layers):
    """A minimal GRU, computed for all time steps at once: its gate sees the input alone.

    z_t = sigmoid(W_z x_t + b_z), h_t = (1-z_t)*h_{t-1} + z_t*(W_h x_t + b_h).

    Source: Feng et al. 2024, the version whose states may be negative.
    """

    kind: Literal["min_gru"]


class MinLstm(_Layers):
    """A minimal LSTM, computed for all time steps at once: its gates see the input alone.

    f_t, i_t = sigmoid(W x_t + b), h_t = (f_t*h_{t-1} + i_t*(W_h x_t + b_h)) / (f_t+i_t).

    Source: Feng et al. 2024, the version whose states may be negative.
    """

    kind: Literal["min_lstm"]


class Lru(_Layers):
    """A linear recurrent unit, computed for all time steps at once: a complex diagonal state.

    s_t = Lambda*s_{t-1} + gamma*(B x_t), h_t = gelu(Re(C s_t) + D x_t), |Lambda| < 1.

    Source: Orvieto et al. 2023.
    """

    kind: Literal["lru"]
    r_min: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Smallest |Lambda| at the start: what is left of the state after one step."""
    r_max: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """Largest |Lambda| at the start."""
    max_phase: Annotated[Number, Field(gt=0, le=6.283)] = 6.28
    """Largest phase of Lambda at the start, in radians a step; long memories want a small one."""


Cell = Annotated[Rnn | Gru | Lstm | MinGru | MinLstm | Lru, Field(discriminator="kind")]
