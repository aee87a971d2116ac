"""A pack on a GPU against its jobs one after another: `python -m benchmarks.gpu_pack`.

Without a GPU it says so and measures nothing. Time is wall time: each step's loss is read as a
number, so that a step has ended on the GPU, too.
"""

import sys
import time
from dataclasses import dataclass

import torch
from rich.console import Console

from benchmarks.figures import summarise
from benchmarks.interleaving import measure
from benchmarks.row import Measure, Plan, Target
from benchmarks.sides.drawn_dataset import draw
from benchmarks.sides.networks import make_network
from benchmarks.sides.ours import Ours
from benchmarks.sides.torch_jobs import TorchJobs
from benchmarks.work import NEVER, Work
from worker.training.lesson import Exercise, Teacher
from worker.training.model import stack_batches
from worker.training.pack import Pack

_WORK = Work("rnn", jobs=64)
_PLAN = Plan(warm_up=5, rounds=11, block=2)
_REPLAYS = 200


@dataclass(frozen=True)
class _Line:
    name: str
    gpu_kernels: bool
    flow_every: int
    bound: float | None
    """The least speed-up it should reach; None: for information only."""


_LINES = (
    _Line("reference", gpu_kernels=False, flow_every=NEVER, bound=None),
    _Line("kernels", gpu_kernels=True, flow_every=NEVER, bound=200),
    _Line("kernels, flow at every step", gpu_kernels=True, flow_every=1, bound=None),
)


def main() -> int:
    """Print a line for each way of training the pack."""
    console = Console()
    if not torch.cuda.is_available():
        console.print("gpu_pack: torch sees no GPU, so nothing was measured")
        return 0
    device = torch.device("cuda")
    console.print(f"gpu_pack: {_WORK.jobs} tanh RNNs, on {torch.cuda.get_device_name(device)}")
    for line in _LINES:
        console.print(_measure(line, device))
    console.print(f"gradients of the reference as a CUDA graph: {_time_graph(device):.3f} ms")
    return 0


def _measure(line: _Line, device: torch.device) -> str:
    ours = Ours(_WORK.specs(line.flow_every), device, gpu_kernels=line.gpu_kernels)
    _, wall = measure(ours, TorchJobs(make_network, ours.starts, device), _PLAN)
    figures = summarise(wall, Target(Measure.SPEED_UP, line.bound))
    low, high = figures.spread
    target = f", to reach {line.bound:.0f}x" if line.bound else ""
    return (
        f"{line.name}: {figures.ours_ms:.3f} ms a step, jobs one after another "
        f"{figures.peer_ms:.1f} ms: {figures.value:.1f}x ({low:.1f}x to {high:.1f}x){target}"
    )


def _time_graph(device: torch.device) -> float:
    """Milliseconds for the pack's gradients, without batches and update, from one graph."""
    pack = Pack([(spec, draw(spec)) for spec in _WORK.specs()])
    dtype = torch.float32
    teacher = Teacher(pack.model(device, dtype), pack.layout)
    batches = [dataset.batch(1, _WORK.batch_size) for dataset in pack.datasets]
    exercise = Exercise(*stack_batches(batches, device, dtype))
    parameters = pack.layout.buffer(pack.initial_parameters(dtype).to(device))
    gradients = pack.layout.buffer(torch.zeros_like(parameters.flat_KP))
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode():
        # Once before: libraries set themselves up at their first use.
        teacher.learn(exercise, parameters.network, gradients)
        with torch.cuda.graph(graph):
            teacher.learn(exercise, parameters.network, gradients)
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    for _ in range(_REPLAYS):
        graph.replay()
    torch.cuda.synchronize(device)
    return 1e3 * (time.perf_counter() - start) / _REPLAYS


if __name__ == "__main__":
    sys.exit(main())
