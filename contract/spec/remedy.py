"""The tutorial's remedies, each optional and independent of the others."""

from typing import Annotated, Literal

from pydantic import Field

from contract.spec.model import Integer, Number, SpecModel
from contract.spec.skip import Skip

Positive = Annotated[Number, Field(gt=0, le=1e12)]
Fraction = Annotated[Number, Field(gt=0, lt=1)]


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


Activation = Annotated[Tanh | Relu | LeakyRelu, Field(discriminator="kind")]


class DefaultInit(SpecModel):
    """torch's own: all weights and biases from U(-1/sqrt(H), 1/sqrt(H))."""

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


class NormClipping(SpecModel):
    """g * min(1, max_norm/||g||) on the global L2 norm. Source: Pascanu et al. 2013."""

    kind: Literal["norm"]
    max_norm: Positive = 1.0
    """Largest L2 norm of the whole gradient."""


class ValueClipping(SpecModel):
    """Each entry of the gradient clamped to [-clip_value, clip_value]. Source: Mikolov 2012."""

    kind: Literal["value"]
    clip_value: Positive = 1.0
    """Largest absolute entry."""


Clipping = Annotated[NormClipping | ValueClipping, Field(discriminator="kind")]


class Constant(SpecModel):
    """The optimizer's lr at every step."""

    kind: Literal["constant"]


class Step(SpecModel):
    """lr times `factor` every `every` steps."""

    kind: Literal["step"]
    every: Annotated[Integer, Field(ge=1, le=10_000_000)]
    """Steps between two cuts."""
    factor: Fraction = 0.1
    """What each cut multiplies lr by."""


class Exponential(SpecModel):
    """lr times `decay` after every step."""

    kind: Literal["exponential"]
    decay: Annotated[Number, Field(gt=0, lt=1)] = 0.999
    """What each step multiplies lr by."""


class Cosine(SpecModel):
    """Linear warm-up, then half a cosine down to `min_lr_factor`.

    Source: Loshchilov & Hutter 2017.
    """

    kind: Literal["cosine"]
    warmup_steps: Annotated[Integer, Field(ge=0, le=10_000_000)] = 0
    """Steps over which lr rises linearly from 0 to its full value."""
    min_lr_factor: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Share of lr left at the last step."""


class Plateau(SpecModel):
    """lr times `factor` when `val_loss` has not improved for `patience` evaluations."""

    kind: Literal["plateau"]
    factor: Fraction = 0.5
    """What each cut multiplies lr by."""
    patience: Annotated[Integer, Field(ge=0, le=10_000)] = 5
    """Evaluations without improvement that are borne."""
    threshold: Annotated[Number, Field(ge=0, lt=1)] = 1e-4
    """Relative improvement that counts as one."""
    min_lr: Annotated[Number, Field(ge=0, le=1e3)] = 0.0
    """lr is never cut below this."""


LrControl = Annotated[Constant | Step | Exponential | Cosine | Plateau, Field(discriminator="kind")]


class Remedy(SpecModel):
    """What is done about the unstable gradient; `{}` is no remedy at all."""

    activation: Activation | None = None
    """The RNN's nonlinearity; null is tanh. An LSTM or GRU has its own."""
    init: Init | None = None
    """How weights start; null is torch's default."""
    skip: Skip | None = None
    """Skip connections over time; null is none."""
    clipping: Clipping | None = None
    """What bounds the gradient before each update; null is nothing."""
    lr_control: LrControl | None = None
    """How lr moves during training; null is constant."""
