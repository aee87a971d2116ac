"""The recurrent cell, in torch's names for its sizes."""

from typing import Annotated, Literal

from pydantic import Field

from contract.spec.model import Integer, SpecModel


class _Sized(SpecModel):
    hidden_size: Annotated[Integer, Field(ge=1, le=4_096)] = 64
    """Units of the state of each layer."""
    num_layers: Annotated[Integer, Field(ge=1, le=16)] = 1
    """Layers stacked, the first one reading the input."""


class Rnn(_Sized):
    """The Elman network: h_t = phi(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh).

    Source: Elman 1990.
    """

    kind: Literal["rnn"]


class Gru(_Sized):
    """A gated recurrent unit: an update gate and a reset gate.

    Source: Cho et al. 2014, in torch's form (the reset gate after the product).
    """

    kind: Literal["gru"]


class Lstm(_Sized):
    """A long short-term memory: a cell state behind input, forget and output gates.

    Source: Hochreiter & Schmidhuber 1997; the forget gate of Gers et al. 2000.
    """

    kind: Literal["lstm"]


Cell = Annotated[Rnn | Gru | Lstm, Field(discriminator="kind")]
