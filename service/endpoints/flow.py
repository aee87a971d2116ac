"""Gradient flow: the gradient's norm by time step, over the course of training."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query

from contract.curve import nullable
from contract.flow import Flow, GradientFlow, LayerFlow
from contract.store import spread
from service.deps import StoreDep
from service.endpoints.curves import StepBound

router = APIRouter(prefix="/v1/jobs", tags=["results"])


@router.get("/{job_id}/gradient-flow")
def get_job_gradient_flow(  # noqa: PLR0913, PLR0917 - one argument a parameter of the request
    job_id: str,
    store: StoreDep,
    from_step: StepBound = None,
    to_step: StepBound = None,
    max_steps: Annotated[int, Query(ge=1, le=2_000)] = 200,
    max_time_steps: Annotated[int, Query(ge=1, le=10_000)] = 500,
) -> GradientFlow:
    """Read how much of the loss's gradient reached each time step, also while the job runs.

    Recorded at step 1 and every `diagnostics.flow_every` steps. If there are more records than
    `max_steps`, or more time steps than `max_time_steps`, an even selection is answered, the
    first and the last among it; the values themselves are never averaged. Each layer of a
    bidirectional network is listed twice, forward and then reverse, the latter in its own
    direction of time.
    """
    job = store.jobs.read(job_id)
    flows = store.curves.read_flows(job_id, max(1, from_step or 1), to_step, max_steps)
    if not flows:
        return GradientFlow(steps=[], time_steps=[], layers=[])
    num_rows, seq_len = flows[0].grad_norm_LT.shape
    chosen = spread(seq_len, max_time_steps)
    return GradientFlow(
        steps=[flow.step for flow in flows],
        time_steps=[at + 1 for at in chosen],
        layers=[
            _layer(flows, row, chosen, is_bidirectional=job.spec.cell.bidirectional)
            for row in range(num_rows)
        ],
    )


def _layer(flows: list[Flow], row: int, chosen: list[int], *, is_bidirectional: bool) -> LayerFlow:
    at = np.array(chosen)
    return LayerFlow(
        layer=row // 2 if is_bidirectional else row,
        direction="reverse" if is_bidirectional and row % 2 else "forward",
        grad_norm=[nullable(flow.grad_norm_LT[row, at]) for flow in flows],
        weight_term_norm=[nullable(flow.weight_term_norm_LT[row, at]) for flow in flows],
        reach=[flow.reach_L[row] for flow in flows],
    )
