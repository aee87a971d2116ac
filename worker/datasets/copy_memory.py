"""Copy memory: repeat a row of symbols after a long pause.

Shapes: N sequences, T = lag + 2 * num_values time steps, V = num_values symbols to be copied.
"""

import math

import numpy as np

from contract.spec import CopyMemory
from worker.datasets.generated import GeneratedDataset, one_hot
from worker.datasets.task import Batch, Task


def make_copy_memory(spec: CopyMemory, seed: int) -> GeneratedDataset:
    """V symbols, lag - 1 blanks, a delimiter, V blanks; one answer after each of all T steps.

    The answer is the blank until the delimiter has been seen, and then, step by step, the symbols
    in their order. The loss is the mean over all T steps, so that answering blanks and then
    guessing among K symbols gives the baseline V ln K / T, 10 ln 8 / (lag + 20) by default; learned
    is half of that. Each symbol has to be kept for lag + V steps exactly: the dependency.

    Source:
        Arjovsky et al., "Unitary evolution recurrent neural networks", ICML 2016; the layout as
        in Wisdom et al., "Full-capacity unitary recurrent neural networks", NIPS 2016 (the
        authors' code).
    """
    seq_len = spec.lag + 2 * spec.num_values
    baseline = spec.num_values * math.log(spec.num_symbols) / seq_len
    task = Task(
        loss="cross_entropy",
        input_size=spec.num_symbols + 2,
        output_size=spec.num_symbols + 1,
        seq_len=seq_len,
        dependency=spec.lag + spec.num_values,
        baseline=baseline,
        learned_below=baseline / 2,
        target_steps=seq_len,
    )
    return GeneratedDataset(task, seed, lambda generator, size: _draw(generator, size, spec))


def _draw(generator: np.random.Generator, size: int, spec: CopyMemory) -> Batch:
    blank, delimiter = spec.num_symbols, spec.num_symbols + 1
    copied_NV = generator.integers(0, spec.num_symbols, (size, spec.num_values))
    symbols_NT = np.full((size, spec.lag + 2 * spec.num_values), blank, dtype=np.int64)
    target_NT = symbols_NT.copy()
    symbols_NT[:, : spec.num_values] = copied_NV
    symbols_NT[:, -spec.num_values - 1] = delimiter
    target_NT[:, -spec.num_values :] = copied_NV
    return Batch(one_hot(symbols_NT, spec.num_symbols + 2), target_NT)
