"""Sequential digits: name a handwritten digit after seeing its pixels one by one.

Shapes: N images, T = 64 time steps (pixels).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contract.spec import SequentialDigits
from contract.spec.upload_task import TEST_PERCENT, TRAIN_PERCENT
from worker.datasets.draws import draws
from worker.datasets.task import Batch, Floats, Task

_PIXELS = 64
_CLASSES = 10
_BASELINE = math.log(_CLASSES)
# Of the split and of the permutation: the same for every job, so that jobs can be compared.
_FIXED_SEED = 0

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class DigitsDataset:
    """1,797 images; those for training are drawn at random, with replacement."""

    task: Task
    seed: int
    x_NT1: Floats
    digit_N1: Numbers
    train_N: Numbers
    validation_N: Numbers
    test_N: Numbers

    def batch(self, step: int, size: int) -> Batch:
        """Training batch of one step (counted from 1): `size` images."""
        drawn_N = draws(self.seed, "train", step).integers(0, len(self.train_N), size)
        return self._images(self.train_N[drawn_N])

    def validation(self) -> Batch:
        """The images of the validation split."""
        return self._images(self.validation_N)

    def test(self) -> Batch:
        """The images of the test split."""
        return self._images(self.test_N)

    def _images(self, number_N: Numbers) -> Batch:
        return Batch(self.x_NT1[number_N], self.digit_N1[number_N])


def make_sequential_digits(spec: SequentialDigits, seed: int) -> DigitsDataset:
    """Images of 8 by 8 pixels, row by row or in one fixed random order, each from 0 to 1.

    Of each digit's images, in one fixed random order, the first 70 % are for training, the last
    15 % for the test. Uniform guessing gives the baseline ln 10; learned is half of that.

    Source:
        Alpaydin & Kaynak, "Optical recognition of handwritten digits", UCI Machine Learning
        Repository (1998), the part in scikit-learn; one pixel a step as in Le et al., "A simple
        way to initialize recurrent networks of rectified linear units", arXiv:1504.00941 (2015).
    """
    # Here, for importing it costs most of a second, which no other job should wait for.
    from sklearn.datasets import load_digits  # noqa: PLC0415 - see above

    pixels_NT, digit_N = load_digits(return_X_y=True)
    order_T = np.arange(_PIXELS)
    if spec.permute:
        order_T = draws(_FIXED_SEED, "series").permutation(_PIXELS)
    train_N, validation_N, test_N = _split(digit_N)
    task = Task(
        loss="cross_entropy",
        input_size=1,
        output_size=_CLASSES,
        seq_len=_PIXELS,
        dependency=None,
        baseline=_BASELINE,
        learned_below=_BASELINE / 2,
    )
    x_NT1 = (pixels_NT[:, order_T, np.newaxis] / 16).astype(np.float32)
    digit_N1 = digit_N.astype(np.int64)[:, np.newaxis]
    return DigitsDataset(task, seed, x_NT1, digit_N1, train_N, validation_N, test_N)


def _split(digit_N: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Numbers of the images for training, validation and test, with each digit's share in each."""
    generator = draws(_FIXED_SEED, "test")
    parts: list[list[Numbers]] = [[], [], []]
    for digit in range(_CLASSES):
        number_N = generator.permutation(np.flatnonzero(digit_N == digit))
        train_end = len(number_N) * TRAIN_PERCENT // 100
        test_start = len(number_N) - len(number_N) * TEST_PERCENT // 100
        for part, numbers in zip(parts, np.split(number_N, [train_end, test_start]), strict=True):
            part.append(numbers)
    train_N, validation_N, test_N = (np.concatenate(part) for part in parts)
    return train_N, validation_N, test_N
