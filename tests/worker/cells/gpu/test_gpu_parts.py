"""What the kernels for the GPU are made of, and how they are chosen."""

import pytest
import torch
import triton.language as tl

from tests.worker.cells.gpu.layers import A100_BYTES, CPU, make_spec
from worker.cells import elementwise, gpu_norms
from worker.cells.compiled import compiled
from worker.cells.flow import weight_term_norm
from worker.cells.gpu_blocks import sigmoid, tanh
from worker.cells.gpu_choice import make_gpu_cell
from worker.cells.gpu_compiled import kernel
from worker.cells.gru.gpu import GruGpu
from worker.cells.gru.reference import GruReference
from worker.cells.lstm.gpu import LstmGpu
from worker.cells.matmul import Floats
from worker.cells.registry import make_layers
from worker.cells.rnn.gpu import RnnGpu

CONSUMER_BYTES = 101_376
POINTS = torch.tensor(
    [0.0, 1e-38, -1e-20, 1e-4, -0.3, 1.0, -5.0, 7.9, 8.0, -90.0, torch.inf, -torch.inf, torch.nan]
    + [0.0] * 3
)


@kernel
def squash_kernel(in_ptr: tl.tensor, tanh_ptr: tl.tensor, sigmoid_ptr: tl.tensor) -> None:
    """Both functions of 16 numbers."""
    at = tl.arange(0, 16)
    x = tl.load(in_ptr + at)
    tl.store(tanh_ptr + at, tanh(x))
    tl.store(sigmoid_ptr + at, sigmoid(x))


@compiled
def squash_on_cpu(values_N: Floats, tanh_N: Floats, sigmoid_N: Floats) -> None:
    """The same on the CPU."""
    for at in range(values_N.size):
        tanh_N[at] = elementwise.tanh(values_N[at])
        sigmoid_N[at] = elementwise.sigmoid(values_N[at])


def test_functions_are_those_of_the_cpu() -> None:
    """Tanh and sigmoid agree with the CPU's kernels to the last bits, and pass nan on."""
    ours = torch.empty_like(POINTS), torch.empty_like(POINTS)
    theirs = torch.empty_like(POINTS), torch.empty_like(POINTS)
    squash_kernel[1, 1](POINTS, *ours)
    squash_on_cpu(POINTS.numpy(), theirs[0].numpy(), theirs[1].numpy())

    # A sigmoid is a half plus nearly minus a half there; a tanh is right however small.
    torch.testing.assert_close(ours[0], theirs[0], rtol=3e-7, atol=0, equal_nan=True)
    torch.testing.assert_close(ours[1], theirs[1], rtol=3e-7, atol=2e-7, equal_nan=True)
    assert ours[0].isnan().tolist() == POINTS.isnan().tolist()


def test_weight_terms_in_parts_are_those_of_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made two steps at a time, the last one alone, the terms have the norms of the reference."""
    monkeypatch.setattr(gpu_norms, "_MOST_NUMBERS", 2 * (2 * 4 * 8))
    generator = torch.Generator().manual_seed(0)
    h_KTBH, delta_KTBG = (
        torch.randn(2, 5, 3, width, generator=generator, dtype=torch.float64) for width in (4, 8)
    )
    initial_KBH = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)

    torch.testing.assert_close(
        gpu_norms.weight_term_norm_in_parts(h_KTBH, delta_KTBG, initial_KBH),
        weight_term_norm(h_KTBH, delta_KTBG, initial_KBH),
    )


@pytest.mark.parametrize(
    ("kind", "limits"), [("rnn", (64, 128)), ("gru", (32, 64)), ("lstm", (32, 64))]
)
def test_kernels_are_chosen_up_to_what_fits(kind: str, limits: tuple[int, int]) -> None:
    """With a consumer card's shared memory, and an A100's, larger layers have no kernels."""
    for on_chip_bytes, limit in zip((CONSUMER_BYTES, A100_BYTES), limits, strict=True):
        fitting, larger = (
            make_gpu_cell([make_spec(kind, hidden_size=size)], CPU, on_chip_bytes)
            for size in (limit, limit + 1)
        )

        assert isinstance(fitting, RnnGpu | GruGpu | LstmGpu)
        assert larger is None


def test_gpu_has_the_reference_unless_told_otherwise() -> None:
    """Without the setting a GPU's layers are the reference."""
    specs = [make_spec("gru", hidden_size=3, num_layers=2)]
    layers = make_layers(specs, torch.device("cuda"), torch.float32)

    assert [type(layer) for layer in layers] == [GruReference, GruReference]


@pytest.mark.parametrize(("device", "dtype"), [("cpu", torch.float32), ("cuda", torch.float64)])
def test_kernels_are_for_float32_on_a_gpu(device: str, dtype: torch.dtype) -> None:
    """The setting changes nothing on a CPU, nor in float64."""
    specs = [make_spec("gru", hidden_size=3)]
    layers = make_layers(specs, torch.device(device), dtype, gpu_kernels=True)
    expected = make_layers(specs, torch.device(device), dtype)

    assert [type(layer) for layer in layers] == [type(layer) for layer in expected]
    assert not isinstance(layers[0], GruGpu)
