"""How long a segment of time may be, so that what the backward pass needs fits into memory.

Shapes: L layers, T time steps, B sequences, H hidden units.
"""

import math
from typing import Final

from contract.parameter_shapes import layer_output_size
from contract.spec import JobSpec

#: Numbers that a pass keeps for each unit, time step and sequence at its peak, going back
#: included: the states, what the gates let through, and the gradient by a layer's input.
_KEPT: Final = {"rnn": 2, "gru": 6, "lstm": 7, "min_gru": 8, "min_lstm": 10, "lru": 12}
#: Of a skip, besides: what was proposed, or what the skip connections carry.
_KEPT_BY_SKIP: Final = {"learned": 4, "residual": 3, "dilated": 2}


def segment_steps(
    spec: JobSpec, time_steps: int, input_size: int, budget_bytes: int, number_bytes: int
) -> int | None:
    """Time steps of one segment of a job; None if the whole sequence fits.

    Where even a short segment would not fit, it is as long as makes the least of segments and
    states between them together: the root of T.

    Args:
        spec: of the job.
        time_steps: T of its sequences.
        input_size: of its first layer.
        budget_bytes: for one job. It is not shared with the others of a pack, for a job's bits
            must not depend on its company.
        number_bytes: of one number: 4 for float32.
    """
    step_bytes = numbers_a_step(spec, input_size) * number_bytes
    if time_steps * step_bytes <= budget_bytes:
        return None
    return max(budget_bytes // step_bytes, math.isqrt(time_steps), 1)


def numbers_a_step(spec: JobSpec, input_size: int) -> int:
    """Numbers that are kept for one time step of all sequences and layers."""
    cell, skip = spec.cell, spec.remedy.skip
    kept = _KEPT[cell.kind] + (_KEPT_BY_SKIP[skip.kind] if skip else 0)
    width = layer_output_size(cell)
    return spec.training.batch_size * (kept * width * cell.num_layers + input_size)
