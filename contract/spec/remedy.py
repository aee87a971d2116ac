"""The tutorial's remedies, each optional and independent of the others."""

from typing import Annotated, Literal

from pydantic import Field

from contract.spec.clipping import Clipping
from contract.spec.lr_control import LrControl
from contract.spec.model import Flag, Integer, Number, Positive, SpecModel
from contract.spec.skip import Skip


class Tanh(SpecModel):
    """tanh: bounded, derivative at most 1."""

    kind: Literal["tanh"]


class Relu(SpecModel):
    """max(0, x): derivative 1 where active. Source: Le, Jaitly & Hinton 2015."""

    kind: Literal["relu"]


class LeakyRelu(SpecModel):
    """max(slope*x, x): no unit can die. Source: Maas et al. 2013."""

    kind: Literal["leaky_relu"]
    negative_slope: Annotated[Number, Field(ge=0, lt=1)] = 0.01
    """Derivative where the input is negative."""


class ModRelu(SpecModel):
    """sign(x)*max(0, |x| + b): the sign stays, a learned bias b of each unit bounds the rest.

    b starts at 0, where it is the identity: with an orthogonal W_hh nothing is lost at first.

    Source: Arjovsky, Shah & Bengio 2016, equation 8; for real numbers Helfrich et al. 2018.
    """

    kind: Literal["mod_relu"]


Activation = Annotated[Tanh | Relu | LeakyRelu | ModRelu, Field(discriminator="kind")]


class DefaultInit(SpecModel):
    """The cell's own: torch's for rnn, gru and lstm, all from U(-1/sqrt(H), 1/sqrt(H)).

    min_gru and min_lstm start as torch's linear layer, from U(-1/sqrt(I), 1/sqrt(I)) with I inputs
    of the layer; an lru has the start of its paper.
    """

    kind: Literal["default"]


class XavierUniform(SpecModel):
    """Weights from U(-a, a), a = gain*sqrt(6/(fan_in+fan_out)).

    Source: Glorot & Bengio 2010.
    """

    kind: Literal["xavier_uniform"]
    gain: Positive = 1.0
    """Factor on the standard deviation."""


class XavierNormal(SpecModel):
    """Weights from N(0, gain^2*2/(fan_in+fan_out)). Source: Glorot & Bengio 2010."""

    kind: Literal["xavier_normal"]
    gain: Positive = 1.0
    """Factor on the standard deviation."""


class Kaiming(SpecModel):
    """Weights from N(0, gain^2/fan_in), the gain of the activation. Source: He et al. 2015."""

    kind: Literal["kaiming"]


class Orthogonal(SpecModel):
    """W_hh orthogonal times `gain`: no direction shrinks or grows at the start.

    Source: Saxe et al. 2014; for recurrent networks Henaff et al. 2016.
    """

    kind: Literal["orthogonal"]
    gain: Positive = 1.0
    """Every singular value of W_hh."""
    constraint: Flag = False
    """Whether W_hh stays so while training: each update is turned into a rotation.

    Source: Lezcano-Casado & Martinez-Rubio 2019; Helfrich et al. 2018.
    """
    lr_factor: Annotated[Number, Field(gt=0, le=1)] = 0.1
    """Share of lr that moves a constrained W_hh; without the constraint it is not used."""


class Identity(SpecModel):
    """IRNN: W_hh = scale*I, biases 0, W_ih from N(0, 0.001^2). Source: Le et al. 2015."""

    kind: Literal["identity"]
    scale: Positive = 1.0
    """The diagonal of W_hh."""


class Chrono(SpecModel):
    """Gate biases spread so that memory lasts up to `max_lag` steps: b_f = log U(1, max_lag-1).

    An LSTM also gets b_i = -b_f; a GRU gets it on its update gate. Source: Tallec & Ollivier 2018.
    """

    kind: Literal["chrono"]
    max_lag: Annotated[Integer, Field(ge=3, le=100_000)]
    """The longest dependency expected, in time steps."""


class ForgetBias(SpecModel):
    """The forget gate's bias set to `value`, the rest as in torch.

    Source: Jozefowicz et al. 2015.
    """

    kind: Literal["forget_bias"]
    value: Annotated[Number, Field(ge=-20, le=20)] = 1.0
    """The summed bias of the forget gate."""


Init = Annotated[
    DefaultInit
    | XavierUniform
    | XavierNormal
    | Kaiming
    | Orthogonal
    | Identity
    | Chrono
    | ForgetBias,
    Field(discriminator="kind"),
]


class Remedy(SpecModel):
    """What is done about the unstable gradient; `{}` is no remedy at all."""

    activation: Activation | None = None
    """The RNN's nonlinearity; null is tanh. Every other cell has its own."""
    init: Init | None = None
    """How weights start; null is the cell's default."""
    skip: Skip | None = None
    """Skip connections over time; null is none."""
    clipping: Clipping | None = None
    """What bounds the gradient before each update; null is nothing."""
    lr_control: LrControl | None = None
    """How lr moves during training; null is constant."""
