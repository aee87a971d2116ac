"""The rows of a stored table as one or more series in the order of time, checked.

Shapes: R rows of all series, one series after the other; I input columns.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contract.spec import Forecast
from worker.datasets.columns import check_present, in_order, numbers


@dataclass(frozen=True)
class SeriesRows:
    """Finite numbers, ordered; windows must not cross the bounds."""

    inputs_RI: NDArray[np.float64]
    target_R: NDArray[np.float64]
    bounds: list[tuple[int, int]]
    """First row and the row after the last of each series."""


def read_series(table: pa.Table, spec: Forecast) -> SeriesRows:
    """Pick, check and order what a forecast needs.

    Raises:
        DatasetInvalidError: if a column is unknown, not numeric, has missing or non-finite
            values, or if a time is neither number nor datetime or occurs twice within a series.
    """
    for name in (spec.series_id, spec.time, spec.target, *spec.inputs):
        if name is not None:
            check_present(table, name)
    ordered, edges = in_order(table, spec.series_id, spec.time)
    return SeriesRows(
        inputs_RI=np.stack([numbers(ordered, name) for name in spec.inputs], axis=1),
        target_R=numbers(ordered, spec.target),
        bounds=list(pairwise(edges.tolist())),
    )
