"""What a row trains: the same adding problem, cell and sizes for every side."""

from dataclasses import dataclass
from typing import Literal

from contract.spec import JobSpec

LR = 1e-3
MAX_NORM = 1.0
EVERY_STEP = 1
NEVER = 10_000_000
"""As an interval in steps: beyond the end of any row."""

INPUT_SIZE = 2
OUTPUT_SIZE = 1
GATES = {"rnn": 1, "gru": 3, "lstm": 4}


@dataclass(frozen=True)
class Work:
    """One training problem: adding, Adam, the gradient's norm clipped."""

    cell: Literal["rnn", "gru", "lstm"]
    activation: Literal["tanh", "relu", "leaky_relu"] | None = None
    """Of an RNN; None for the gated cells, which have their own, and for tanh."""
    skip: bool = False
    """Whether a learned gate skips updates of the state."""
    batch_size: int = 32
    hidden_size: int = 64
    seq_len: int = 100
    jobs: int = 1

    def specs(self, flow_every: int = EVERY_STEP) -> list[JobSpec]:
        """A job spec for each job; they differ in their seeds.

        Args:
            flow_every: steps between two records of the gradient's flow.
        """
        return [self._spec(seed, flow_every) for seed in range(self.jobs)]

    def _spec(self, seed: int, flow_every: int) -> JobSpec:
        remedy: dict[str, object] = {"clipping": {"kind": "norm", "max_norm": MAX_NORM}}
        if self.activation:
            remedy["activation"] = {"kind": self.activation}
        if self.skip:
            remedy["skip"] = {"kind": "learned", "cost": 0.0}
        document = {
            "dataset": {"kind": "adding", "seq_len": self.seq_len},
            "cell": {"kind": self.cell, "hidden_size": self.hidden_size},
            "remedy": remedy,
            "training": {
                "optimizer": {"kind": "adam", "lr": LR},
                "batch_size": self.batch_size,
                "max_steps": NEVER,
                "eval_every": NEVER,
                "seed": seed,
            },
            "diagnostics": {"flow_every": flow_every},
        }
        return JobSpec.model_validate(document)
