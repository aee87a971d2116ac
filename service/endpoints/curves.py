"""Training curves, bucketed with exact extrema."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BeforeValidator, Field

from contract.curve import (
    SERIES,
    Curve,
    Curves,
    bucket_series,
    bucket_size_for,
    bucket_starts,
    list_nonfinite,
)
from contract.errors import FieldError, InvalidError
from service.deps import StoreDep
from service.negotiation import require_json_accepted
from service.openapi import problem_responses

router = APIRouter(prefix="/v1/jobs", tags=["results"])


def _absent_if_empty(value: object) -> object:
    return None if value == "" else value


# `?from_step=` is as good as nothing: clients fill in templates.
_Step = Annotated[int, Field(ge=0, le=2**53)]
StepBound = Annotated[_Step | None, BeforeValidator(_absent_if_empty), Query()]


@router.get(
    "/{job_id}/curves",
    dependencies=[Depends(require_json_accepted)],
    responses=problem_responses(406),
)
def get_job_curves(  # noqa: PLR0913, PLR0917 - one argument a parameter of the request
    job_id: str,
    store: StoreDep,
    series: Annotated[str | None, Query(max_length=200)] = None,
    from_step: StepBound = None,
    to_step: StepBound = None,
    after_step: StepBound = None,
    max_points: Annotated[int, Query(ge=1, le=100_000)] = 1000,
) -> Curves:
    """Read a job's curves, also while it runs.

    Every step is kept. If the range has more steps than `max_points`, they come in buckets, each
    with its exact minimum, maximum and last value, so that a spike of one step shows at every
    zoom. Values that are not finite are null, and all listed in `nonfinite`. `series` names the
    wanted ones, separated by commas; `after_step` is for polling: send the last step you have.
    """
    names = _wanted(series)
    first = max(1, from_step or 1, (after_step or 0) + 1)
    job = store.jobs.read(job_id)
    curve = store.curves.read_curve(job_id, first, to_step)
    size = _bucket_size(curve, max_points)
    starts = bucket_starts(curve.step_N, size)
    return Curves(
        job_id=job_id,
        status=job.status,
        first_step=int(curve.step_N[0]) if len(curve) else None,
        last_step=int(curve.step_N[-1]) if len(curve) else None,
        total_points=len(curve),
        returned_points=len(starts),
        bucket_size=size,
        step=[int(curve.step_N[at - 1]) for at in [*starts[1:], len(curve)] if len(curve)],
        series={name: bucket_series(curve.series[name], starts) for name in names},
        evals=store.curves.read_evaluations(job_id, first, to_step),
        nonfinite=list_nonfinite(curve, names),
    )


def _bucket_size(curve: Curve, max_points: int) -> int:
    if not len(curve):
        return 1
    return bucket_size_for(int(curve.step_N[0]), int(curve.step_N[-1]), max_points)


def _wanted(series: str | None) -> tuple[str, ...]:
    """The series that were asked for; all of them if none was named."""
    if series is None:
        return tuple(SERIES)
    names = tuple(dict.fromkeys(name.strip() for name in series.split(",")))
    unknown = [name for name in names if name not in SERIES]
    if unknown:
        reason = f"there is no series {unknown[0]!r}; there are {', '.join(SERIES)}"
        raise InvalidError(reason, (FieldError("series", reason),))
    return names
