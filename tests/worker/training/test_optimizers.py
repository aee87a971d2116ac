"""The flat optimizers against torch.optim, by hand, and with jobs left out.

Shapes: S steps, K jobs, P parameters.
"""

import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from contract.spec.training import Adam, AdamW, Optimizer, RmsProp, Sgd
from worker.training.flat_optimizer import FlatOptimizer
from worker.training.optimizers import make_optimizer

NUM_STEPS = 100
CPU = torch.device("cpu")

lrs = st.floats(1e-5, 0.5)
betas = st.floats(0, 0.9999)
decays = st.just(0.0) | st.floats(1e-6, 0.5)
epsilons = st.floats(1e-10, 0.1)
momenta = st.just(0.0) | st.floats(0.01, 0.99)
sgds = st.builds(Sgd, kind=st.just("sgd"), lr=lrs, momentum=momenta, weight_decay=decays)
rmsprops = st.builds(
    RmsProp,
    kind=st.just("rmsprop"),
    lr=lrs,
    alpha=betas,
    eps=epsilons,
    momentum=momenta,
    weight_decay=decays,
)
adams = st.builds(
    Adam,
    kind=st.just("adam"),
    lr=lrs,
    betas=st.tuples(betas, betas),
    eps=epsilons,
    weight_decay=decays,
)
adamws = st.builds(
    AdamW,
    kind=st.just("adamw"),
    lr=lrs,
    betas=st.tuples(betas, betas),
    eps=epsilons,
    weight_decay=decays,
)
packs = st.one_of(
    *(st.lists(specs, min_size=1, max_size=3) for specs in (sgds, rmsprops, adams, adamws))
)
ONE_OF_EACH: tuple[Optimizer, ...] = (
    Sgd(kind="sgd", momentum=0.9, weight_decay=0.1),
    RmsProp(kind="rmsprop", momentum=0.9, weight_decay=0.1),
    Adam(kind="adam", weight_decay=0.1),
    AdamW(kind="adamw"),
)
each_kind = pytest.mark.parametrize("spec", ONE_OF_EACH, ids=[spec.kind for spec in ONE_OF_EACH])


def _torch_optimizer(spec: Optimizer, parameter: Tensor) -> torch.optim.Optimizer:
    settings = spec.model_dump(exclude={"kind"})
    match spec:
        case Sgd():
            return torch.optim.SGD([parameter], **settings)
        case RmsProp():
            return torch.optim.RMSprop([parameter], **settings)
        case Adam():
            return torch.optim.Adam([parameter], **settings)
        case AdamW():
            return torch.optim.AdamW([parameter], **settings)


def _torch_path(spec: Optimizer, start_P: Tensor, gradients_SP: Sequence[Tensor]) -> list[Tensor]:
    """The parameters before the first step and after each."""
    parameter_P = start_P.clone().requires_grad_()
    optimizer = _torch_optimizer(spec, parameter_P)
    path = [start_P]
    for gradient_P in gradients_SP:
        parameter_P.grad = gradient_P.clone()
        optimizer.step()
        path.append(parameter_P.detach().clone())
    return path


def _torch_result(spec: Optimizer, start_P: Tensor, gradients_SP: Sequence[Tensor]) -> Tensor:
    return _torch_path(spec, start_P, gradients_SP)[-1]


def _draw(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def _make(specs: Sequence[Optimizer], like_KP: Tensor) -> FlatOptimizer:
    return make_optimizer(specs, like_KP.shape[1], CPU, like_KP.dtype)


def _lrs_of(specs: Sequence[Optimizer]) -> Tensor:
    return torch.tensor([spec.lr for spec in specs], dtype=torch.float64)


def _run(specs: Sequence[Optimizer], parameters_KP: Tensor, gradients_SKP: Tensor) -> Tensor:
    """The parameters after all steps, every job active."""
    parameters_KP = parameters_KP.clone()
    optimizer = _make(specs, parameters_KP)
    active_K = torch.ones(len(specs), dtype=torch.bool)
    for gradients_KP in gradients_SKP:
        optimizer.step(parameters_KP, gradients_KP, _lrs_of(specs), active_K)
    return parameters_KP


@settings(deadline=None, max_examples=60)
@given(specs=packs, num_parameters=st.integers(1, 9), seed=st.integers(0, 1000))
def test_every_step_of_every_row_is_torch_optims(
    specs: list[Optimizer], num_parameters: int, seed: int
) -> None:
    """From where torch.optim stands, each job of a pack makes its next step, 100 times in float64.

    What is remembered is each side's own throughout. Their parameters are not: a large penalty over
    a small eps makes their way chaotic. With Adam at betas (0.5, 0), lr 0.5, eps 1/64 and weight
    decay 0.5, ulps grow to relative differences of 1e-7 and more, and arithmetic with 60 digits
    agrees with neither side.
    """
    start_KP = _draw(seed, len(specs), num_parameters)
    gradients_SKP = _draw(seed + 1, NUM_STEPS, len(specs), num_parameters)
    paths = [
        _torch_path(spec, start_KP[k], gradients_SKP[:, k].unbind()) for k, spec in enumerate(specs)
    ]
    path_SKP = torch.stack([torch.stack(path) for path in paths], dim=1)
    optimizer = _make(specs, start_KP)
    active_K = torch.ones(len(specs), dtype=torch.bool)
    for before_KP, gradients_KP, after_KP in zip(
        path_SKP, gradients_SKP, path_SKP[1:], strict=False
    ):
        parameters_KP = before_KP.clone()
        optimizer.step(parameters_KP, gradients_KP, _lrs_of(specs), active_K)
        scale_KP = 1 + before_KP.abs() + after_KP.abs()

        # A few ulps; but with beta 0.9999 an ulp of beta^t is 1e-12 of the correction 1 - beta^t.
        assert ((parameters_KP - after_KP).abs() <= 3e-12 * scale_KP).all()


@each_kind
def test_float32_follows_torch_optim(spec: Optimizer) -> None:
    """In float32 a job stays within rounding of torch.optim."""
    start_KP = _draw(0, 1, 50, dtype=torch.float32)
    gradients_SKP = _draw(1, NUM_STEPS, 1, 50, dtype=torch.float32)
    result_KP = _run([spec], start_KP, gradients_SKP)
    expected_P = _torch_result(spec, start_KP[0], gradients_SKP[:, 0].unbind())
    torch.testing.assert_close(result_KP[0], expected_P, rtol=1e-4, atol=1e-5)


@each_kind
def test_a_job_counts_only_its_own_steps(spec: Optimizer) -> None:
    """A job that sat out steps is where torch.optim is after its active steps alone."""
    start_KP = _draw(0, 2, 5)
    gradients_SKP = _draw(1, 30, 2, 5)
    active_SK = _draw(2, 30, 2) > 0
    parameters_KP = start_KP.clone()
    optimizer = _make([spec, spec], parameters_KP)
    for gradients_KP, active_K in zip(gradients_SKP, active_SK, strict=True):
        optimizer.step(parameters_KP, gradients_KP, _lrs_of([spec, spec]), active_K)
    for k in range(2):
        own_SP = gradients_SKP[active_SK[:, k], k].unbind()
        expected_P = _torch_result(spec, start_KP[k], own_SP)
        torch.testing.assert_close(parameters_KP[k], expected_P, rtol=1e-12, atol=1e-12)


@each_kind
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_inactive_job_keeps_every_bit(spec: Optimizer, bad: float) -> None:
    """A non-finite gradient of an inactive job touches neither its parameters nor its state."""
    parameters_KP = _draw(0, 2, 7, dtype=torch.float32)
    optimizer = _make([spec, spec], parameters_KP)
    both_K = torch.tensor([True, True])
    optimizer.step(
        parameters_KP, _draw(1, 2, 7, dtype=torch.float32), _lrs_of([spec, spec]), both_K
    )
    kept = [tensor[0].clone() for tensor in (parameters_KP, *optimizer.state.values())]
    gradients_KP = _draw(2, 2, 7, dtype=torch.float32)
    gradients_KP[0] = bad
    optimizer.step(parameters_KP, gradients_KP, _lrs_of([spec, spec]), ~both_K)
    optimizer.step(parameters_KP, gradients_KP, _lrs_of([spec, spec]), torch.tensor([False, True]))
    now = [tensor[0] for tensor in (parameters_KP, *optimizer.state.values())]
    assert all(torch.equal(a, b) for a, b in zip(kept, now, strict=True))
    assert parameters_KP[1].isfinite().all()


@each_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_packed_job_has_the_bits_of_a_lone_one(spec: Optimizer, dtype: torch.dtype) -> None:
    """A job's parameters do not depend, in any bit, on who else is in its pack."""
    plain = spec.model_copy(update={"weight_decay": 0.0})
    specs: list[Optimizer] = [plain, spec, plain, spec, plain]
    start_KP = _draw(0, 5, 37, dtype=dtype)
    gradients_SKP = _draw(1, 20, 5, 37, dtype=dtype)
    packed_KP = _run(specs, start_KP, gradients_SKP)
    alone_KP = torch.cat(
        [_run([specs[k]], start_KP[k : k + 1], gradients_SKP[:, k : k + 1]) for k in range(5)]
    )
    assert torch.equal(packed_KP, alone_KP)


@each_kind
def test_sitting_out_does_not_change_the_others(spec: Optimizer) -> None:
    """An active job's bits are the same whether its neighbour is active or not."""
    gradients_KP = _draw(1, 2, 37, dtype=torch.float32)
    moved: list[Tensor] = []
    for neighbour in (True, False):
        parameters_KP = _draw(0, 2, 37, dtype=torch.float32)
        active_K = torch.tensor([True, neighbour])
        _make([spec, spec], parameters_KP).step(
            parameters_KP, gradients_KP, _lrs_of([spec, spec]), active_K
        )
        moved.append(parameters_KP[0])
    assert torch.equal(*moved)


@each_kind
def test_gradients_are_only_read(spec: Optimizer) -> None:
    """A step leaves the gradient buffer as it was."""
    gradients_KP = _draw(1, 1, 7)
    before_KP = gradients_KP.clone()
    _run([spec], _draw(0, 1, 7), gradients_KP.unsqueeze(0))
    assert torch.equal(gradients_KP, before_KP)


def _two_steps(spec: Optimizer) -> list[float]:
    """A single parameter that starts at 1 and twice sees the gradient 2, after each step."""
    parameters_KP = torch.ones(1, 1, dtype=torch.float64)
    optimizer = _make([spec], parameters_KP)
    values = []
    for _ in range(2):
        gradients_KP = torch.full((1, 1), 2.0, dtype=torch.float64)
        optimizer.step(parameters_KP, gradients_KP, _lrs_of([spec]), torch.tensor([True]))
        values.append(parameters_KP.item())
    return values


def test_sgd_by_hand() -> None:
    """With momentum 1/2 the second update is half the first plus a new one."""
    assert _two_steps(Sgd(kind="sgd", lr=0.1, momentum=0.5)) == pytest.approx([0.8, 0.5])


def test_rmsprop_by_hand() -> None:
    """With alpha 3/4 the mean square of 2 is 1, then 7/4; eps 1 is added to its root."""
    spec = RmsProp(kind="rmsprop", lr=0.1, alpha=0.75, eps=1.0)
    first = 1 - 0.1 * 2 / (1 + 1)
    assert _two_steps(spec) == pytest.approx([first, first - 0.2 / (1.75**0.5 + 1)])


def test_adam_by_hand() -> None:
    """A constant gradient has unbiased moments g and g^2, so that each step is lr*|g|/(|g|+eps)."""
    step = 0.1 * 2 / (2 + 0.5)
    assert _two_steps(Adam(kind="adam", lr=0.1, eps=0.5)) == pytest.approx([1 - step, 1 - 2 * step])


def test_adamw_by_hand() -> None:
    """The weight first loses lr * weight_decay of itself, then makes Adam's step."""
    step = 0.1 * 2 / (2 + 0.5)
    first = 1 * 0.95 - step
    spec = AdamW(kind="adamw", lr=0.1, eps=0.5, weight_decay=0.5)
    assert _two_steps(spec) == pytest.approx([first, first * 0.95 - step])


@pytest.mark.parametrize(
    "spec", [RmsProp(kind="rmsprop", eps=1e-300), Adam(kind="adam", eps=1e-300)]
)
def test_an_eps_below_float32_does_not_make_nan(spec: Optimizer) -> None:
    """A zero gradient moves nothing even where eps rounds to zero in float32."""
    start_KP = torch.ones(1, 3)
    assert torch.equal(_run([spec], start_KP, torch.zeros(2, 1, 3)), start_KP)


def test_kinds_are_not_mixed() -> None:
    """A pack of two kinds of optimizer is refused with their names."""
    with pytest.raises(ValueError, match="adam, sgd"):
        make_optimizer([Sgd(kind="sgd"), Adam(kind="adam")], 1, CPU, torch.float32)


def test_an_empty_pack_is_refused() -> None:
    """No spec is no optimizer."""
    with pytest.raises(ValueError, match="at least one"):
        make_optimizer([], 1, CPU, torch.float32)


def test_the_compiler_is_not_loaded() -> None:
    """A first step does not load torch's compiler, as the first step of torch.optim does."""
    program = (
        "import sys, torch\n"
        "from contract.spec.training import Adam\n"
        "from worker.training.optimizers import make_optimizer\n"
        "p = torch.zeros(1, 2)\n"
        "o = make_optimizer([Adam(kind='adam')], 2, p.device, p.dtype)\n"
        "o.step(p, torch.ones(1, 2), torch.ones(1), torch.tensor([True]))\n"
        "sys.exit('torch._dynamo' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
