"""Delayed recall: name at the last step the symbol shown at the first.

Shapes: N sequences, T time steps, I = num_symbols + 2 input features (the symbols, blank, cue).
"""

import math

import numpy as np

from contract.spec import DelayedRecall
from worker.datasets.generated import GeneratedDataset, one_hot
from worker.datasets.task import Batch, Task


def make_delayed_recall(spec: DelayedRecall, seed: int) -> GeneratedDataset:
    """The copy task with a single symbol, one-hot.

    One of K symbols at t = 0, blanks, a cue at t = T - 1; the target is the symbol. Uniform
    guessing gives the baseline ln K; learned is half of that. The dependency is T - 1 exactly.

    Source:
        Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 9 (1997); blanks
        and cue as in the copy task of Arjovsky et al., ICML 2016.
    """
    baseline = math.log(spec.num_symbols)
    task = Task(
        loss="cross_entropy",
        input_size=spec.num_symbols + 2,
        output_size=spec.num_symbols,
        seq_len=spec.seq_len,
        dependency=spec.seq_len - 1,
        baseline=baseline,
        learned_below=baseline / 2,
    )
    return GeneratedDataset(task, seed, lambda generator, size: _draw(generator, size, spec))


def _draw(generator: np.random.Generator, size: int, spec: DelayedRecall) -> Batch:
    blank, cue = spec.num_symbols, spec.num_symbols + 1
    shown_N = generator.integers(0, spec.num_symbols, size)
    symbols_NT = np.full((size, spec.seq_len), blank, dtype=np.int64)
    symbols_NT[:, 0] = shown_N
    symbols_NT[:, -1] = cue
    return Batch(one_hot(symbols_NT, spec.num_symbols + 2), shown_N[:, np.newaxis])
