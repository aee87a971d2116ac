"""Digits pixel by pixel: the images, their order, their splits."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from contract.spec import SequentialDigits
from worker.datasets.sequential_digits import DigitsDataset, make_sequential_digits


@pytest.fixture(scope="module")
def dataset() -> DigitsDataset:
    """The digits row by row."""
    return make_sequential_digits(SequentialDigits(kind="sequential_digits"), 0)


def _images(x_NT1: np.ndarray) -> set[bytes]:
    return {x_T1.tobytes() for x_T1 in x_NT1}


def test_pixels_come_row_by_row_scaled_to_1(dataset: DigitsDataset) -> None:
    """Every sequence is an image of scikit-learn's, its pixels divided by 16, with its label."""
    digits = load_digits()
    label_of = {
        (image.ravel() / 16).astype(np.float32).tobytes(): label
        for image, label in zip(digits.images, digits.target, strict=True)
    }
    test = dataset.test()

    assert test.x_NTI.max() == 1
    assert [label_of[x_T1.tobytes()] for x_T1 in test.x_NTI] == test.target[:, 0].tolist()


def test_every_image_is_in_one_split_only(dataset: DigitsDataset) -> None:
    """1,797 images in three parts; no image of one is in another."""
    parts = [dataset.train_N, dataset.validation_N, dataset.test_N]

    assert sorted(np.concatenate(parts).tolist()) == list(range(1_797))
    assert not _images(dataset.batch(1, 2_000).x_NTI) & _images(dataset.test().x_NTI)


def test_every_digit_has_its_share_in_every_split(dataset: DigitsDataset) -> None:
    """70, 15 and 15 % of each digit's images, to one image."""
    digit_N = dataset.digit_N1[:, 0]
    for digit in range(10):
        count = (digit_N == digit).sum()
        assert (digit_N[dataset.train_N] == digit).sum() == pytest.approx(0.70 * count, abs=1)
        assert (digit_N[dataset.test_N] == digit).sum() == pytest.approx(0.15 * count, abs=1)


def test_split_is_the_same_for_every_seed(dataset: DigitsDataset) -> None:
    """Jobs with other seeds are judged on the same images."""
    other = make_sequential_digits(SequentialDigits(kind="sequential_digits"), 7)

    np.testing.assert_array_equal(other.test().x_NTI, dataset.test().x_NTI)


def test_permuted_pixels_are_the_same_pixels_in_one_fixed_order(dataset: DigitsDataset) -> None:
    """Every image is permuted alike, whatever the seed."""
    spec = SequentialDigits(kind="sequential_digits", permute=True)
    permuted = make_sequential_digits(spec, 7).test().x_NTI[:, :, 0]
    plain = dataset.test().x_NTI[:, :, 0]
    columns = [tuple(column) for column in plain.T]

    assert not np.array_equal(permuted, plain)
    assert sorted(tuple(column) for column in permuted.T) == sorted(columns)
    np.testing.assert_array_equal(permuted, make_sequential_digits(spec, 8).test().x_NTI[:, :, 0])
