"""Small datasets and specs for the tests of training."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from contract.spec import JobSpec
from worker.datasets.task import Batch, Task


@dataclass(frozen=True)
class TinyDataset:
    """Sum both features over time (squared error), or tell the first sum's sign (cross entropy)."""

    seed: int = 0
    loss: Literal["cross_entropy", "squared_error"] = "squared_error"
    seq_len: int = 6
    target_steps: int = 1
    """The sums so far are asked for after each of the last steps, this many."""
    outputs: int = 2
    """How many of the sums are asked for; of classes two."""
    unit_scale: float = 1.0
    poisoned_from: int | None = None
    """Step from which on every input is inf; None is never."""
    asked_steps: list[int] = field(default_factory=list)

    @property
    def task(self) -> Task:
        """Two inputs; two values, one of them, or two classes."""
        return Task(
            loss=self.loss,
            input_size=2,
            output_size=self.outputs,
            seq_len=self.seq_len,
            dependency=self.seq_len - 1,
            baseline=1.0,
            learned_below=0.1,
            unit_scale=self.unit_scale,
            target_steps=self.target_steps,
        )

    def batch(self, step: int, size: int) -> Batch:
        """Drawn from the seed and the step alone."""
        self.asked_steps.append(step)
        batch = self._draw(step, size)
        if self.poisoned_from is not None and step >= self.poisoned_from:
            batch.x_NTI[:] = np.inf
        return batch

    def validation(self) -> Batch:
        """Forty sequences."""
        return self._draw(-1, 40)

    def test(self) -> Batch:
        """Thirty other sequences."""
        return self._draw(-2, 30)

    def _draw(self, stream: int, size: int) -> Batch:
        generator = np.random.default_rng([self.seed, stream + 10])
        x_NTI = generator.normal(size=(size, self.seq_len, 2)).astype(np.float32)
        sum_NS2 = x_NTI.cumsum(axis=1)[:, -self.target_steps :]
        if self.loss == "squared_error":
            return Batch(x_NTI, (sum_NS2[..., : self.outputs] / self.seq_len).astype(np.float32))
        return Batch(x_NTI, (sum_NS2[:, :, 0] > 0).astype(np.int64))


def tiny_spec(
    kind: str = "rnn",
    *,
    seed: int = 0,
    flow_every: int = 4,
    remedy: dict[str, object] | None = None,
    **training: object,
) -> JobSpec:
    """A spec of two layers of five hidden units; what is not given is the default."""
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "adding"},
            "cell": {"kind": kind, "hidden_size": 5, "num_layers": 2},
            "remedy": remedy or {},
            "training": {"batch_size": 4, "seed": seed, "max_steps": 10, **training},
            "diagnostics": {"flow_every": flow_every},
        }
    )
