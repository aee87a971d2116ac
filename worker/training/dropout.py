"""Dropout between layers: which outputs the next layer does not see at one training step.

Shapes: K jobs of a pack, L layers, T time steps, B sequences, D outputs of a layer.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from contract.parameter_shapes import layer_output_size
from contract.spec import JobSpec
from worker.datasets.draws import draws


def dropout_masks(
    specs: Sequence[JobSpec], step: int, time_steps: int, device: torch.device, dtype: torch.dtype
) -> list[Tensor]:
    """What the output of each layer but the top one is multiplied by; empty without dropout.

    0 with probability p, else 1/(1-p), drawn anew for each time step, as by torch's own layers. A
    job's numbers depend on its seed and the step alone, not on the pack nor on earlier steps.

    Args:
        specs: one a job, of the same cell and batch size.
        step: optimizer step, counted from 1.
        time_steps: T.
        device: of the masks.
        dtype: of the masks.

    Returns:
        L-1 masks, each (K, T, B, D).

    Source:
        Srivastava et al., JMLR 2014; between the layers of a recurrent network alone: Zaremba,
        Sutskever & Vinyals, arXiv 1409.2329.
    """
    cell = specs[0].cell
    if cell.dropout == 0:
        return []
    shape = (
        cell.num_layers - 1,
        time_steps,
        specs[0].training.batch_size,
        layer_output_size(cell),
    )
    drawn = np.stack(
        [draws(spec.training.seed, "dropout", step).random(shape, np.float32) for spec in specs],
        axis=1,
    )
    kept = torch.from_numpy(drawn >= cell.dropout).to(device)
    return list((kept.to(dtype) / (1 - cell.dropout)).unbind(0))
