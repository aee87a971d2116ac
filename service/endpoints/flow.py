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
    first and the last among it; the values themselves are never averaged.
    """
    store.jobs.read(job_id)
    flows = store.curves.read_flows(job_id, max(1, from_step or 1), to_step, max_steps)
    if not flows:
        return GradientFlow(steps=[], time_steps=[], layers=[])
    num_layers, seq_len = flows[0].grad_norm_LT.shape
    chosen = spread(seq_len, max_time_steps)
    return GradientFlow(
        steps=[flow.step for flow in flows],
        time_steps=[at + 1 for at in chosen],
        layers=[_layer(flows, layer, chosen) for layer in range(num_layers)],
    )


def _layer(flows: list[Flow], layer: int, chosen: list[int]) -> LayerFlow:
    at = np.array(chosen)
    return LayerFlow(
        layer=layer,
        grad_norm=[nullable(flow.grad_norm_LT[layer, at]) for flow in flows],
        weight_term_norm=[nullable(flow.weight_term_norm_LT[layer, at]) for flow in flows],
        reach=[flow.reach_L[layer] for flow in flows],
    )
