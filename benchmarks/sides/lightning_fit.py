"""The Lightning side: its own `fit` in a thread of its own, stopped between blocks of steps.

Shapes: T time steps, B sequences, I inputs, O outputs.
"""

import itertools
import queue
import threading
from collections.abc import Iterator

import lightning
import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, IterableDataset

from benchmarks.sides.networks import make_network
from benchmarks.sides.side import Start
from benchmarks.sides.torch_jobs import as_tensors
from benchmarks.work import LR, MAX_NORM
from worker.datasets.task import Batch

_Tensors = tuple[Tensor, Tensor]
_BLOCK_WITHIN_S = 120.0


class LightningFit:
    """One job, as Lightning's first example has it, without progress bar, logger or checkpoints."""

    def __init__(self, start: Start) -> None:
        self._module = _Module(start)
        threading.Thread(target=self._fit, args=(start.batches,), daemon=True).start()

    def run(self, steps: int) -> float:
        """Train that many steps.

        Raises:
            queue.Empty: the block did not come to its end; the thread's traceback says why.
        """
        self._module.asked.put(steps)
        return self._module.done.get(timeout=_BLOCK_WITHIN_S)

    def _fit(self, batches: list[Batch]) -> None:
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=-1,
            gradient_clip_val=MAX_NORM,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        loader = DataLoader(_Endless(batches), batch_size=None)
        trainer.fit(self._module, loader)


class _Endless(IterableDataset[_Tensors]):
    def __init__(self, batches: list[Batch]) -> None:
        self._tensors = [as_tensors(batch) for batch in batches]

    def __iter__(self) -> Iterator[_Tensors]:
        return itertools.cycle(self._tensors)


class _Module(lightning.LightningModule):  # type: ignore[misc]
    """Waits before a block of steps until it is asked for, and says when it is done."""

    def __init__(self, start: Start) -> None:
        super().__init__()
        self.network = make_network(start)
        self.asked: queue.Queue[int] = queue.Queue()
        self.done: queue.Queue[float] = queue.Queue()
        self._left = 0

    def training_step(self, batch: _Tensors, _: int) -> Tensor:
        x_TBI, target_BO = batch
        return mse_loss(self.network(x_TBI), target_BO)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=LR)

    def on_train_batch_start(self, *_: object) -> None:
        if not self._left:
            self._left = self.asked.get()

    def on_train_batch_end(self, outputs: dict[str, Tensor], *_: object) -> None:
        loss = outputs["loss"].item()
        self._left -= 1
        if not self._left:
            self.done.put(loss)
