"""`make bench-memory`: numbers that a training step holds at its peak, for each state it computes.

A process of its own for each line trains two steps of long sequences, the flow measured at both,
and reads off how far its memory rose over what it held before. The peer is plain torch.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from contract.spec import JobSpec
from worker.datasets.registry import open_dataset
from worker.training.loop import Trainer
from worker.training.pack import Pack

_TIME_STEPS, _SEQUENCES, _HIDDEN = 4_000, 64, 128
_NUMBER_BYTES = 4
_STATES = _TIME_STEPS * _SEQUENCES * _HIDDEN
_UNLIMITED, _BUDGET = 2**40, 2**28
#: Line, its process' arguments, and the most numbers a state may take.
_LINES = (
    ("RNN", ("ours", "rnn", str(_UNLIMITED)), 2.5),
    ("LSTM", ("ours", "lstm", str(_UNLIMITED)), 6.5),
    ("GRU", ("ours", "gru", str(_UNLIMITED)), None),
    ("RNN, 256 MiB", ("ours", "rnn", str(_BUDGET)), None),
    ("LSTM, 256 MiB", ("ours", "lstm", str(_BUDGET)), None),
    ("torch RNN", ("torch", "rnn"), None),
    ("torch LSTM", ("torch", "lstm"), None),
)


def main() -> int:
    """Print the table, or, called with arguments, the bytes of one line."""
    if len(sys.argv) > 1:
        sys.stdout.write(f"{_measure(*sys.argv[1:])}\n")
        return 0
    console = Console()
    table = Table("network", "MiB", "numbers a state", "at most")
    for name, arguments, bound in _LINES:
        command = [sys.executable, "-m", "benchmarks.memory", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - ourselves
        rise = int(ended.stdout)
        numbers = rise / _NUMBER_BYTES / _STATES
        table.add_row(name, f"{rise / 2**20:.0f}", f"{numbers:.2f}", str(bound or ""))
    console.print(f"T = {_TIME_STEPS}, B = {_SEQUENCES}, H = {_HIDDEN}, one layer, float32")
    console.print(table)
    return 0


def _measure(side: str, cell: str, budget: str = "") -> int:
    """Bytes by which two steps raise the process' memory at its peak."""
    step = _our_step(cell, int(budget)) if side == "ours" else _torch_step(cell)
    # What is loaded or compiled at a first step is not of the sequence.
    step(2)
    before = _status("VmRSS")
    # Writing 5 lets the kernel count the peak from here on.
    Path("/proc/self/clear_refs").write_text("5")
    step(_TIME_STEPS)
    return _status("VmHWM") - before


def _our_step(cell: str, budget: int) -> Callable[[int], None]:
    def step(time_steps: int) -> None:
        spec = JobSpec.model_validate(
            {
                "dataset": {"kind": "adding", "seq_len": time_steps},
                "cell": {"kind": cell, "hidden_size": _HIDDEN},
                "training": {"batch_size": _SEQUENCES, "max_steps": 3, "eval_every": 3},
                "diagnostics": {"flow_every": 1},
            }
        )
        dataset = open_dataset(spec.dataset, spec.training.seed, _no_table)
        pack = Pack([(spec, dataset)])
        steps = Trainer(pack, torch.device("cpu"), budget_bytes=budget).steps()
        for _ in range(2):
            next(steps)

    return step


def _no_table(dataset_id: str) -> pa.Table:
    """Nothing uploaded is read here."""
    raise AssertionError(dataset_id)


def _torch_step(cell: str) -> Callable[[int], None]:
    module = {"rnn": nn.RNN, "lstm": nn.LSTM}[cell](2, _HIDDEN)
    readout = nn.Linear(_HIDDEN, 1)

    def step(time_steps: int) -> None:
        x_TBI = torch.rand(time_steps, _SEQUENCES, 2)
        output_TBH, _ = module(x_TBI)
        loss = readout(output_TBH[-1]).square().mean()
        loss.backward()

    return step


def _status(name: str) -> int:
    """Bytes of a line of the process' status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    sys.exit(main())
