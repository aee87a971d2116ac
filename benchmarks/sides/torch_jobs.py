"""The plain torch side: jobs trained one after another.

Shapes: T time steps, B sequences, I inputs, O outputs.
"""

import itertools
import statistics
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.nn.utils import clip_grad_norm_

from benchmarks.sides.side import CPU, Start
from benchmarks.work import LR, MAX_NORM
from worker.datasets.task import Batch


class TorchJob:
    """The training loop that everybody writes.

    Args:
        network: from (T, B, I) to (B, O).
        batches: to train on, in turn.
        device: where it is trained; the batches lie there from the beginning.
    """

    def __init__(
        self, network: nn.Module, batches: Sequence[Batch], device: torch.device = CPU
    ) -> None:
        self._network = network.to(device)
        self._optimizer = torch.optim.Adam(network.parameters(), lr=LR)
        on_cpu = [as_tensors(batch) for batch in batches]
        self._batches = itertools.cycle([(x.to(device), target.to(device)) for x, target in on_cpu])

    def run(self, steps: int) -> float:
        """Train that many steps."""
        return [self._step() for _ in range(steps)][-1]

    def _step(self) -> float:
        x_TBI, target_BO = next(self._batches)
        self._optimizer.zero_grad()
        loss = mse_loss(self._network(x_TBI), target_BO)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(self._network.parameters(), MAX_NORM)
        self._optimizer.step()
        return loss.item()


class TorchJobs:
    """Jobs one after another: each trains its steps, then the next one."""

    def __init__(
        self,
        make_network: Callable[[Start], nn.Module],
        starts: Sequence[Start],
        device: torch.device = CPU,
    ) -> None:
        self._jobs = [TorchJob(make_network(start), start.batches, device) for start in starts]

    def run(self, steps: int) -> float:
        """Train each job that many steps."""
        return statistics.fmean(job.run(steps) for job in self._jobs)


def as_tensors(batch: Batch) -> tuple[Tensor, Tensor]:
    """A batch as torch's recurrent layers like it best, time first: x (T, B, I), target (B, O)."""
    x_BTI = torch.from_numpy(batch.x_NTI)
    return x_BTI.transpose(0, 1).contiguous(), torch.from_numpy(batch.target[:, -1])
