"""Skip connections over time: ways for the gradient to pass by the steps in between."""

from typing import Annotated, Literal

from pydantic import Field

from contract.spec.model import Integer, Number, SpecModel


class LearnedSkip(SpecModel):
    """Skip RNN: each layer learns at which time steps to update its state and when to copy it.

    s_t = u_t*S(s_{t-1}, x_t) + (1-u_t)*s_{t-1}, u_t = round(p_t) with the gradient of p_t. After
    an update p_{t+1} = d_t = sigmoid(w s_t + b), after a copy p_{t+1} = p_t + min(d_t, 1-p_t).

    Source: Campos et al. 2018.
    """

    kind: Literal["learned"]
    cost: Annotated[Number, Field(ge=0, le=1e3)] = 0.0
    """Added to what is minimised, not to the loss shown, for each update in a sequence."""


class ResidualSkip(SpecModel):
    """The cell also sees the state of `lag` steps before: W_lag h_{t-lag} joins the gates' input.

    W_lag starts as the identity in an RNN and for the candidate of a GRU or LSTM, as 0 for their
    other gates, and then learns.

    Source: Lin et al. 1996; Zhang et al. 2016; the identity of He et al. 2016.
    """

    kind: Literal["residual"]
    lag: Annotated[Integer, Field(ge=2, le=5_000)] = 10
    """Time steps a connection passes by; has to be below the sequence's length."""


class DilatedSkip(SpecModel):
    """Layer l, from 0, has h_{t-d} in the place of h_{t-1}, with d = base^l.

    Source: Chang et al. 2017.
    """

    kind: Literal["dilated"]
    base: Annotated[Integer, Field(ge=2, le=5_000)] = 2
    """Factor from one layer's dilation to the next one's; the top one's has to be below the
    sequence's length."""


Skip = Annotated[LearnedSkip | ResidualSkip | DilatedSkip, Field(discriminator="kind")]


def longest_skip(skip: Skip | None, num_layers: int) -> int:
    """Time steps from a state to the farthest one that it enters directly; 1 without a skip."""
    match skip:
        case DilatedSkip(base=base):
            return int(base ** (num_layers - 1))
        case ResidualSkip(lag=lag):
            return lag
        case _:
            return 1
