"""The adding problem in the form that Skip RNN was published with.

Shapes: N sequences, T time steps, I = 2 input features (value, marker), O = 1 output.
"""

from dataclasses import replace

import numpy as np

from contract.spec import Adding, JobSpec
from worker.datasets.adding import make_adding
from worker.datasets.generated import GeneratedDataset
from worker.datasets.task import Batch


def open_skip_rnn_adding(spec: JobSpec) -> GeneratedDataset:
    """Values from U(-0.5, 0.5), a marker in the first tenth and one in the second half.

    The target is the sum of the two marked values; its variance, the error of always answering 0,
    is 1/6 as in the other form.

    Source:
        Campos et al., "Skip RNN", ICLR 2018, section 4.1.
    """
    if not isinstance(spec.dataset, Adding):
        raise TypeError("this is a form of the adding problem")
    seq_len = spec.dataset.seq_len
    published = make_adding(spec.dataset, spec.training.seed)
    return replace(published, draw=lambda generator, size: _draw(generator, size, seq_len))


def _draw(generator: np.random.Generator, size: int, seq_len: int) -> Batch:
    x_NTI = np.zeros((size, seq_len, 2), dtype=np.float32)
    x_NTI[:, :, 0] = generator.random((size, seq_len), dtype=np.float32) - 0.5
    rows_N = np.arange(size)
    first_N = generator.integers(0, seq_len // 10, size)
    second_N = generator.integers(seq_len // 2, seq_len, size)
    x_NTI[rows_N, first_N, 1] = 1
    x_NTI[rows_N, second_N, 1] = 1
    sum_N = x_NTI[rows_N, first_N, 0] + x_NTI[rows_N, second_N, 0]
    return Batch(x_NTI, sum_N[:, np.newaxis, np.newaxis])
