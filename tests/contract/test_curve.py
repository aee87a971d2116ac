import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from contract.curve import (
    SERIES,
    Curve,
    bucket_series,
    bucket_size_for,
    bucket_starts,
    list_nonfinite,
    pack_chunk,
    unpack_chunks,
)


def make_curve(values: list[float], first: int = 1) -> Curve:
    """A curve whose every series holds the same values."""
    steps = np.arange(first, first + len(values))
    return Curve(steps, {name: np.array(values) for name in SERIES})


def test_chunks_read_back_bit_for_bit() -> None:
    """What is stored in chunks reads back as one curve, inf and nan included."""
    first = make_curve([1.0, math.inf, math.nan])
    second = make_curve([-math.inf, 1e-300], first=4)

    curve = unpack_chunks([pack_chunk(first), pack_chunk(second)])

    assert curve.step_N.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(
        curve.series["loss"], [1.0, math.inf, math.nan, -math.inf, 1e-300]
    )


def test_spike_of_one_step_survives_any_zoom() -> None:
    """One value of 10,000 among 100,000 is the exact maximum of its bucket."""
    values = np.ones(100_000)
    values[43_209] = 10_000.0
    steps = np.arange(1, 100_001)

    starts = bucket_starts(steps, bucket_size_for(1, 100_000, 1000))
    buckets = bucket_series(values, starts)

    assert len(starts) == 1000
    assert buckets.max[432] == 10_000.0
    assert buckets.last[432] == 1.0


@given(
    first=st.integers(1, 10_000),
    total=st.integers(1, 3_000),
    max_points=st.integers(1, 500),
)
def test_buckets_never_exceed_what_was_asked_for(first: int, total: int, max_points: int) -> None:
    """However a range lies, it comes in at most `max_points` buckets, hardly larger than needed."""
    steps = np.arange(first, first + total)
    size = bucket_size_for(first, first + total - 1, max_points)

    assert len(bucket_starts(steps, size)) <= max_points
    assert size <= -(-total // max_points) * 2


@given(
    values=arrays(
        np.float64, st.integers(1, 200), elements=st.floats(allow_nan=True, allow_infinity=True)
    ),
    size=st.integers(1, 50),
)
def test_bucket_extremes_are_exact(values: np.ndarray, size: int) -> None:
    """Minimum and maximum of each bucket are those of its finite values; null if there are none."""
    steps = np.arange(1, len(values) + 1)
    starts = bucket_starts(steps, size)

    buckets = bucket_series(values, starts)

    for at, part in enumerate(np.split(values, starts[1:])):
        finite = part[np.isfinite(part)]
        assert buckets.min[at] == (finite.min() if len(finite) else None)
        assert buckets.max[at] == (finite.max() if len(finite) else None)
        assert buckets.last[at] == (part[-1] if np.isfinite(part[-1]) else None)


def test_buckets_stay_where_they_are_as_a_run_grows() -> None:
    """A later start of the range does not move the borders between buckets."""
    from_start = bucket_starts(np.arange(1, 101), 10)
    from_middle = bucket_starts(np.arange(15, 101), 10)

    assert (from_start[2:] + 1).tolist() == (from_middle[1:] + 15).tolist()


@pytest.mark.parametrize(
    ("value", "kind"), [(math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan")]
)
def test_each_nonfinite_value_is_listed(value: float, kind: str) -> None:
    """A non-finite value is listed with its step and what it was."""
    (found,) = list_nonfinite(make_curve([1.0, value], first=7), ("loss",))

    assert (found.step, found.series, found.kind) == (8, "loss", kind)
