"""Training curves: chunks as the worker writes them, buckets as clients read them.

Shapes: N steps, B buckets.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from contract.job import JobStatus

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]

#: The series kept at every step, with their units.
SERIES: Final = {
    "loss": "mean per target over the batch, nats or squared units",
    "lr": "learning rate of the step",
    "grad_norm": "global L2 norm of the gradient before clipping",
    "clip_coef": "norm after clipping over norm before; 1 when not clipped",
    "param_norm": "global L2 norm of the parameters after the update",
    "update_ratio": "norm of the update over the norm of the parameters",
}


@dataclass(frozen=True)
class Curve:
    """Every step of a run, or a range of them, at full resolution."""

    step_N: Steps
    """Training steps, ascending without a gap."""
    series: dict[str, Floats]
    """Each of SERIES, (N,) float64; inf and nan as they came."""

    def __len__(self) -> int:
        return len(self.step_N)


def empty_curve() -> Curve:
    """A curve without steps."""
    return Curve(np.empty(0, np.int64), {name: np.empty(0) for name in SERIES})


def pack_chunk(curve: Curve) -> bytes:
    """A curve as an Arrow IPC stream, the form it is stored in."""
    table = curve_table(curve)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def unpack_chunks(chunks: list[bytes]) -> Curve:
    """The curve that consecutive chunks hold together."""
    if not chunks:
        return empty_curve()
    table = pa.concat_tables([pa.ipc.open_stream(chunk).read_all() for chunk in chunks])
    series = {name: table.column(name).to_numpy() for name in SERIES}
    return Curve(table.column("step").to_numpy(), series)


def curve_table(curve: Curve) -> pa.Table:
    """A curve as an Arrow table: `step`, then each series."""
    return pa.table({"step": curve.step_N, **curve.series})


class BucketedSeries(BaseModel):
    """One series in buckets; null where a bucket holds no finite value."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    min: list[float | None]
    """Exact smallest finite value of each bucket."""
    max: list[float | None]
    """Exact largest finite value of each bucket."""
    last: list[float | None]
    """Value at the bucket's last step; null if it is not finite."""


class Nonfinite(BaseModel):
    """One value that JSON cannot hold."""

    model_config = ConfigDict(frozen=True)

    step: int
    series: str
    kind: Literal["inf", "-inf", "nan"]


class Evaluations(BaseModel):
    """Held-out results, at the steps where they were taken; null where not finite."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    step: list[int]
    val_loss: list[float | None]
    """Mean per target, same units as `loss`."""
    val_metric: list[float | None]
    """Accuracy in [0, 1], or for a forecast the mean squared error in the data's units."""


class Curves(BaseModel):
    """A job's curves, bucketed to at most `max_points` points with exact extrema."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    job_id: str
    status: JobStatus
    first_step: int | None
    """First step in the range that was asked for; null if there is none."""
    last_step: int | None
    total_points: int
    """Steps in the range."""
    returned_points: int
    bucket_size: int
    """Steps in one bucket; buckets begin at multiples of it, so they do not move as a run grows."""
    step: list[int]
    """The last step of each bucket."""
    series: dict[str, BucketedSeries]
    evals: Evaluations
    nonfinite: list[Nonfinite]
    """Every non-finite value of the range, none left out."""


def bucket_size_for(first: int, last: int, max_points: int) -> int:
    """The smallest bucket size that covers steps `first`..`last` in at most `max_points` buckets.

    Buckets begin at fixed multiples of their size, so the two ends can add one bucket; the size
    grows by one until they fit.
    """
    size = -(-(last - first + 1) // max_points)
    while (last - 1) // size - (first - 1) // size + 1 > max_points:
        size += 1
    return size


def bucket_series(values_N: Floats, starts_B: Steps) -> BucketedSeries:
    """Minimum, maximum and last value of each bucket that begins at the given positions."""
    if not len(starts_B):
        return BucketedSeries(min=[], max=[], last=[])
    finite_N = np.isfinite(values_N)
    low_B = np.minimum.reduceat(np.where(finite_N, values_N, np.inf), starts_B)
    high_B = np.maximum.reduceat(np.where(finite_N, values_N, -np.inf), starts_B)
    last_B = values_N[np.append(starts_B[1:], len(values_N)) - 1]
    return BucketedSeries(min=nullable(low_B), max=nullable(high_B), last=nullable(last_B))


def bucket_starts(step_N: Steps, size: int) -> Steps:
    """Positions in `step_N` at which a new bucket of `size` steps begins."""
    if not len(step_N):
        return step_N
    bucket_N = (step_N - 1) // size
    return np.flatnonzero(np.diff(bucket_N, prepend=bucket_N[0] - 1)).astype(np.int64)


def nullable(values_N: Floats) -> list[float | None]:
    """The values as JSON holds them: null where not finite."""
    return [value if np.isfinite(value) else None for value in values_N.tolist()]


def list_nonfinite(curve: Curve, names: tuple[str, ...]) -> list[Nonfinite]:
    """Every non-finite value of the named series, by step."""
    found = [
        Nonfinite(step=int(curve.step_N[at]), series=name, kind=_kind(curve.series[name][at]))
        for name in names
        for at in np.flatnonzero(~np.isfinite(curve.series[name]))
    ]
    return sorted(found, key=lambda value: (value.step, value.series))


def _kind(value: float) -> Literal["inf", "-inf", "nan"]:
    if np.isnan(value):
        return "nan"
    return "inf" if value > 0 else "-inf"
