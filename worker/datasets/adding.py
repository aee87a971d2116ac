"""The adding problem: remember two marked numbers and say their sum.

Shapes: N sequences, T time steps, I = 2 input features (value, marker), O = 1 output.
"""

import numpy as np

from contract.spec import Adding
from worker.datasets.generated import GeneratedDataset
from worker.datasets.task import Batch, Task

# Var[u + v] of two independent U[0, 1): the squared error of always answering 1.
_BASELINE = 1 / 6


def make_adding(spec: Adding, seed: int) -> GeneratedDataset:
    """The adding problem in its modern form.

    x[t] = (value, marker): values from U[0, 1), marker 1 at one step of each half (the second
    half is the longer one if T is odd), 0 elsewhere; the target is the sum of the two marked
    values. Always answering 1 gives the baseline 1/6; learned is half of that.

    The dependency is the shortest lag that is always there: from the last step of the first half.

    Source:
        Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 9 (1997); this form
        from Arjovsky et al., "Unitary evolution recurrent neural networks", ICML 2016.
    """
    seq_len = spec.seq_len
    task = Task(
        loss="squared_error",
        input_size=2,
        output_size=1,
        seq_len=seq_len,
        dependency=seq_len - seq_len // 2,
        baseline=_BASELINE,
        learned_below=_BASELINE / 2,
    )
    return GeneratedDataset(task, seed, lambda generator, size: _draw(generator, size, seq_len))


def _draw(generator: np.random.Generator, size: int, seq_len: int) -> Batch:
    x_NTI = np.zeros((size, seq_len, 2), dtype=np.float32)
    x_NTI[:, :, 0] = generator.random((size, seq_len), dtype=np.float32)
    rows_N = np.arange(size)
    first_N = generator.integers(0, seq_len // 2, size)
    second_N = generator.integers(seq_len // 2, seq_len, size)
    x_NTI[rows_N, first_N, 1] = 1
    x_NTI[rows_N, second_N, 1] = 1
    sum_N = x_NTI[rows_N, first_N, 0] + x_NTI[rows_N, second_N, 0]
    return Batch(x_NTI, sum_N[:, np.newaxis, np.newaxis])
