"""Temporal order: say in which order two marked symbols came.

Shapes: N sequences, T time steps, I = 6 input features (the symbols A, B and c, d, e, f).
"""

import math

import numpy as np

from contract.spec import TemporalOrder
from worker.datasets.generated import GeneratedDataset, one_hot
from worker.datasets.task import Batch, Task

_MARKED = 2
_SYMBOLS = 6
_BASELINE = math.log(_MARKED**2)


def make_temporal_order(spec: TemporalOrder, seed: int) -> GeneratedDataset:
    """Two symbols of A, B among distractors c to f, all one-hot; classes AA, AB, BA, BB.

    The first lies at p0 in [0.1 T, 0.2 T), the second at p1 in [0.5 T, 0.6 T), every bound
    counted in whole tenths of T rounded down (and T/2 rounded down). Uniform guessing gives the
    baseline ln 4; learned is half of that.

    The dependency is the shortest lag that is always there: from the latest p0, about 0.8 T.

    Source:
        Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), task 6a;
        positions from Pascanu et al., "On the difficulty of training recurrent neural networks",
        ICML 2013 (the authors' code).
    """
    seq_len = spec.seq_len
    task = Task(
        loss="cross_entropy",
        input_size=_SYMBOLS,
        output_size=_MARKED**2,
        seq_len=seq_len,
        dependency=seq_len - 2 * (seq_len // 10),
        baseline=_BASELINE,
        learned_below=_BASELINE / 2,
    )
    return GeneratedDataset(task, seed, lambda generator, size: _draw(generator, size, seq_len))


def _draw(generator: np.random.Generator, size: int, seq_len: int) -> Batch:
    tenth, half = seq_len // 10, seq_len // 2
    rows_N = np.arange(size)
    symbols_NT = generator.integers(_MARKED, _SYMBOLS, (size, seq_len))
    marked_N2 = generator.integers(0, _MARKED, (size, 2))
    symbols_NT[rows_N, generator.integers(tenth, 2 * tenth, size)] = marked_N2[:, 0]
    symbols_NT[rows_N, generator.integers(half, half + tenth, size)] = marked_N2[:, 1]
    order_N1 = _MARKED * marked_N2[:, :1] + marked_N2[:, 1:]
    return Batch(one_hot(symbols_NT, _SYMBOLS), order_N1)
