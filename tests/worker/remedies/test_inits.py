"""How weights start: torch's own numbers, the published formulas, and their reproducibility.

Shapes: G gates, I inputs, H hidden units, O outputs.
"""

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from contract.spec import Adding, JobSpec
from contract.spec.cell import Cell, Gru, Lstm, Rnn
from contract.spec.remedy import (
    Activation,
    Chrono,
    DefaultInit,
    ForgetBias,
    Identity,
    Init,
    Kaiming,
    LeakyRelu,
    ModRelu,
    Orthogonal,
    Relu,
    Remedy,
    XavierNormal,
    XavierUniform,
)
from worker.remedies.inits import initialise, initialise_readout
from worker.training.parameters import LayerParameters, ParameterLayout

I_SIZE = 3
RNN: Cell = Rnn(kind="rnn", num_layers=2)
GRU: Cell = Gru(kind="gru", num_layers=2)
LSTM: Cell = Lstm(kind="lstm", num_layers=2)
NUM_GATES = {"rnn": 1, "gru": 3, "lstm": 4}

XAVIER_UNIFORM = XavierUniform(kind="xavier_uniform")
XAVIER_NORMAL = XavierNormal(kind="xavier_normal")
KAIMING = Kaiming(kind="kaiming")
ORTHOGONAL = Orthogonal(kind="orthogonal")
IDENTITY = Identity(kind="identity")
CHRONO = Chrono(kind="chrono", max_lag=100)
FORGET_BIAS = ForgetBias(kind="forget_bias", value=2.0)

each_cell = pytest.mark.parametrize("cell", [RNN, GRU, LSTM], ids=lambda cell: cell.kind)
each_init = pytest.mark.parametrize(
    ("cell", "init"),
    [
        (RNN, XAVIER_UNIFORM),
        (GRU, XAVIER_NORMAL),
        (LSTM, KAIMING),
        (LSTM, ORTHOGONAL),
        (RNN, IDENTITY),
        (GRU, CHRONO),
        (LSTM, CHRONO),
        (LSTM, FORGET_BIAS),
    ],
    ids=lambda part: part.kind,
)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _start(  # noqa: PLR0913 - what a start depends on
    cell: Cell,
    init: Init | None,
    *,
    activation: Activation | None = None,
    hidden_size: int = 16,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> tuple[LayerParameters, ...]:
    sized = cell.model_copy(update={"hidden_size": hidden_size})
    layout = ParameterLayout(JobSpec(dataset=Adding(kind="adding"), cell=sized), I_SIZE, 1)
    buffer_P = torch.full((layout.num_parameters,), math.nan, dtype=dtype)
    layers = layout.views(buffer_P).layers
    initialise(layers, cell, Remedy(init=init, activation=activation), _generator(seed))
    return layers


def _tensors(layers: Sequence[LayerParameters]) -> dict[str, Tensor]:
    return {f"{name}_l{i}": layer[name] for i, layer in enumerate(layers) for name in layer}


@each_cell
@pytest.mark.parametrize("init", [None, DefaultInit(kind="default")])
def test_default_is_torch_own_start(cell: Cell, init: Init | None) -> None:
    """Without an init every number is the one that torch.nn draws from the same seed."""
    module = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell.kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        reference = module(I_SIZE, 16, num_layers=2, dtype=torch.float64)
    started = _tensors(_start(cell, init, seed=7))
    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(started[name], parameter.detach(), rtol=1e-14, atol=0)


def test_readout_is_torch_own_start() -> None:
    """The readout's numbers are those that torch.nn.Linear draws from the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        reference = nn.Linear(16, 5, dtype=torch.float64)
    weight_OH, bias_O = torch.zeros(5, 16).double(), torch.zeros(5).double()
    initialise_readout(weight_OH, bias_O, _generator(7))
    torch.testing.assert_close(weight_OH, reference.weight.detach(), rtol=1e-14, atol=0)
    torch.testing.assert_close(bias_O, reference.bias.detach(), rtol=1e-14, atol=0)


@each_init
def test_every_number_is_set_and_finite(cell: Cell, init: Init) -> None:
    """No entry of any layer is left as it was found."""
    assert all(tensor.isfinite().all() for tensor in _tensors(_start(cell, init)).values())


@each_init
def test_the_same_seed_gives_the_same_start(cell: Cell, init: Init) -> None:
    """A start depends on its seed alone: equal seeds give equal bits."""
    first, second = _tensors(_start(cell, init)), _tensors(_start(cell, init))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("init", [None, XAVIER_NORMAL, ORTHOGONAL], ids=str)
def test_another_seed_gives_another_start(init: Init | None) -> None:
    """Starts of two seeds differ in what is drawn."""
    first, second = _start(LSTM, init, seed=1)[0], _start(LSTM, init, seed=2)[0]
    assert not torch.equal(first["weight_hh"], second["weight_hh"])


@each_init
def test_float32_is_float64_rounded(cell: Cell, init: Init) -> None:
    """A float32 job starts from the float64 job's weights, rounded."""
    exact = _tensors(_start(cell, init))
    rounded = _tensors(_start(cell, init, dtype=torch.float32))
    assert all(torch.equal(rounded[name], exact[name].float()) for name in exact)


@each_init
def test_the_next_draw_does_not_depend_on_the_init(cell: Cell, init: Init) -> None:
    """Jobs of one seed get the same readout whatever their remedy."""
    after = []
    for remedy in (Remedy(), Remedy(init=init)):
        generator = _generator(3)
        initialise(_start(cell, None), cell, remedy, generator)
        after.append(torch.rand(4, generator=generator))
    assert torch.equal(*after)


@each_cell
@pytest.mark.parametrize("init", [XAVIER_UNIFORM, XAVIER_NORMAL], ids=str)
def test_xavier_has_its_deviation(cell: Cell, init: XavierUniform | XavierNormal) -> None:
    """Each gate block has the deviation gain * sqrt(2 / (fan_in + H)), by its own fans."""
    doubled = init.model_copy(update={"gain": 2.0})
    layer = _start(cell, doubled, hidden_size=256)[0]
    for weight, fan_in in ((layer["weight_ih"], I_SIZE), (layer["weight_hh"], 256)):
        for block in weight.chunk(NUM_GATES[cell.kind]):
            expected = 2 * math.sqrt(2 / (fan_in + 256))
            assert block.std().item() == pytest.approx(expected, rel=0.15)


def test_xavier_uniform_is_bounded() -> None:
    """No weight is beyond a = gain * sqrt(6 / (fan_in + H)), and some come near it."""
    weight_hh = _start(RNN, XAVIER_UNIFORM, hidden_size=256)[0]["weight_hh"]
    bound = math.sqrt(6 / 512)
    assert 0.99 * bound < weight_hh.abs().max().item() <= bound


@pytest.mark.parametrize(
    ("cell", "activation", "gains"),
    [
        (RNN, None, [5 / 3]),
        (RNN, Relu(kind="relu"), [math.sqrt(2)]),
        (RNN, LeakyRelu(kind="leaky_relu", negative_slope=0.5), [math.sqrt(1.6)]),
        (RNN, ModRelu(kind="mod_relu"), [1]),
        (GRU, None, [1, 1, 5 / 3]),
        (LSTM, None, [1, 1, 5 / 3, 1]),
    ],
)
def test_kaiming_has_the_gain_of_each_gate(
    cell: Cell, activation: Activation | None, gains: list[float]
) -> None:
    """Each gate block of W_hh has the standard deviation gain / sqrt(H), by its nonlinearity."""
    layer = _start(cell, KAIMING, activation=activation, hidden_size=100)[0]
    blocks = layer["weight_hh"].chunk(NUM_GATES[cell.kind])
    deviations = [block.std().item() * 10 for block in blocks]
    assert deviations == pytest.approx(gains, rel=0.05)


@each_cell
@pytest.mark.parametrize("init", [XAVIER_UNIFORM, XAVIER_NORMAL, KAIMING, ORTHOGONAL], ids=str)
def test_weight_inits_have_no_biases(cell: Cell, init: Init) -> None:
    """Inits that speak of the weights start all biases at 0."""
    for layer in _start(cell, init):
        assert not torch.cat([layer["bias_ih"], layer["bias_hh"]]).any()


@settings(max_examples=20, deadline=None)
@given(
    cell=st.sampled_from([RNN, GRU, LSTM]),
    hidden_size=st.integers(1, 17),
    gain=st.floats(0.1, 10),
    seed=st.integers(0, 1000),
)
def test_orthogonal_blocks_have_one_singular_value(
    *, cell: Cell, hidden_size: int, gain: float, seed: int
) -> None:
    """W^T W = gain^2 I for every gate's H x H block of W_hh."""
    init = Orthogonal(kind="orthogonal", gain=gain)
    eye = torch.eye(hidden_size, dtype=torch.float64)
    for layer in _start(cell, init, hidden_size=hidden_size, seed=seed):
        for block in layer["weight_hh"].chunk(NUM_GATES[cell.kind]):
            torch.testing.assert_close(block.T @ block / gain**2, eye, rtol=0, atol=1e-12)


def test_orthogonal_leaves_the_input_weights() -> None:
    """W_ih is that of the default start of the same seed."""
    assert torch.equal(_start(LSTM, ORTHOGONAL)[0]["weight_ih"], _start(LSTM, None)[0]["weight_ih"])


def test_identity_is_the_irnn() -> None:
    """W_hh is scale * I, W_ih has the deviation 0.001, and the biases are 0."""
    for layer in _start(RNN, Identity(kind="identity", scale=0.5), hidden_size=256):
        assert torch.equal(layer["weight_hh"], 0.5 * torch.eye(256, dtype=torch.float64))
        assert layer["weight_ih"].std().item() == pytest.approx(0.001, rel=0.15)
        assert not torch.cat([layer["bias_ih"], layer["bias_hh"]]).any()


@pytest.mark.parametrize(("cell", "gate"), [(LSTM, 1), (GRU, 1)], ids=["lstm_f", "gru_z"])
def test_chrono_spreads_the_gate_that_keeps_the_state(cell: Cell, gate: int) -> None:
    """The summed bias of f, or of z, is log U(1, max_lag - 1), of which the mean is max_lag / 2."""
    for layer in _start(cell, CHRONO, hidden_size=400):
        memory_H = (layer["bias_ih"] + layer["bias_hh"]).chunk(NUM_GATES[cell.kind])[gate].exp()
        assert memory_H.min().item() >= 1
        assert memory_H.max().item() <= 99 * (1 + 1e-12)
        assert memory_H.mean().item() == pytest.approx(50, rel=0.15)


def test_chrono_shuts_the_input_gate_of_an_lstm() -> None:
    """An LSTM's b_i is -b_f."""
    for layer in _start(LSTM, CHRONO):
        input_bias_H, forget_bias_H, _, _ = (layer["bias_ih"] + layer["bias_hh"]).chunk(4)
        assert torch.equal(input_bias_H, -forget_bias_H)


def test_chrono_makes_a_gru_remember() -> None:
    """In torch's own GRU a state decays by 1/e in about max_lag/2 steps, and not in a few."""
    module = nn.GRU(I_SIZE, 500, dtype=torch.float64)
    layer = _start(GRU, CHRONO, hidden_size=500)[0]
    parameters = dict(module.named_parameters())
    with torch.no_grad():
        # Without weights and a candidate's bias all that is left is the old state times z.
        parameters["weight_ih_l0"].zero_()
        parameters["weight_hh_l0"].zero_()
        for name, bias in (("bias_ih_l0", layer["bias_ih"]), ("bias_hh_l0", layer["bias_hh"])):
            parameters[name].copy_(bias)
            parameters[name][1000:] = 0.0
        inputs = torch.zeros(50, 1, I_SIZE, dtype=torch.float64)
        _, state = module(inputs, torch.ones(1, 1, 500, dtype=torch.float64))
    lifetimes_H = -50 / state.flatten().log()
    assert 40 < lifetimes_H.mean().item() < 60


@pytest.mark.parametrize(
    ("cell", "init", "gates"),
    [(LSTM, CHRONO, (0, 1)), (GRU, CHRONO, (1,)), (LSTM, FORGET_BIAS, (1,))],
)
def test_gate_inits_leave_all_else_to_torch(cell: Cell, init: Init, gates: tuple[int, ...]) -> None:
    """Nothing but the biases of the named gates differs from the default start."""
    changed, default = _start(cell, init), _start(cell, None)
    for mine, plain in zip(changed, default, strict=True):
        assert torch.equal(mine["weight_ih"], plain["weight_ih"])
        assert torch.equal(mine["weight_hh"], plain["weight_hh"])
        for name in ("bias_ih", "bias_hh"):
            blocks = [layer[name].chunk(NUM_GATES[cell.kind]) for layer in (mine, plain)]
            equal = [torch.equal(a, b) for a, b in zip(*blocks, strict=True)]
            assert equal == [gate not in gates for gate in range(len(equal))]


def test_forget_bias_is_not_doubled() -> None:
    """The two biases that torch adds sum to the value, in the forget gate of each layer."""
    for layer in _start(LSTM, FORGET_BIAS):
        summed_H = (layer["bias_ih"] + layer["bias_hh"]).chunk(4)[1]
        assert summed_H.tolist() == [2.0] * 16


def test_a_gate_that_the_cell_lacks_is_refused() -> None:
    """A forget bias for a GRU does not silently change another gate."""
    with pytest.raises(KeyError):
        _start(GRU, FORGET_BIAS)
