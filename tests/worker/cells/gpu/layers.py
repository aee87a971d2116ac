"""Random layers of a pack, run by the kernels in float32 and by the reference in float64.

Shapes: K jobs, T time steps, S of them with a gradient from outside, B sequences, I inputs,
H hidden units.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from contract.spec import JobSpec
from worker.cells.cell import RecurrentCell, State
from worker.cells.flow import LayerFlow
from worker.cells.gpu_choice import make_gpu_cell
from worker.cells.registry import make_layers
from worker.training.parameters import LayerParameters, ParameterLayout

CPU = torch.device("cpu")
A100_BYTES = 166_912
_NUM_STATES = {"rnn": 1, "gru": 1, "lstm": 2}


@dataclass(frozen=True)
class Case:
    """One layer of a pack with all that comes in from outside, forward and back; float32."""

    specs: Sequence[JobSpec]
    layer: LayerParameters
    x: Tensor
    initial: State | None
    grad_h: Tensor
    """By the last S states."""
    grad_final: State | None


@dataclass(frozen=True)
class Outcome:
    """All that comes out."""

    values: list[Tensor]
    """h_1 ... h_T, and the final state."""
    grads: list[Tensor]
    """By x, by the initial state, and by the parameters in their order."""
    flow: LayerFlow


def make_spec(
    kind: str,
    *,
    hidden_size: int,
    num_layers: int = 1,
    activation: dict[str, object] | None = None,
) -> JobSpec:
    """A spec of a network; all else is the default."""
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "adding"},
            "cell": {"kind": kind, "hidden_size": hidden_size, "num_layers": num_layers},
            "remedy": {"activation": activation},
        }
    )


def draw_case(
    specs: Sequence[JobSpec],
    *,
    time_steps: int = 3,
    answered: int = 1,
    sequences: int = 2,
    seed: int = 0,
) -> Case:
    """A layer with two inputs, all of it random."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    jobs, cell = len(specs), specs[0].cell
    block = sequences, cell.hidden_size
    layout = ParameterLayout(specs[0], 2, 1)
    layer = layout.views(0.5 * normal(jobs, layout.num_parameters)).layers[0]
    states = [tuple(normal(jobs, *block) for _ in range(_NUM_STATES[cell.kind])) for _ in range(2)]
    return Case(
        specs,
        layer,
        normal(jobs, time_steps, sequences, 2),
        states[0],
        normal(jobs, answered, *block),
        states[1],
    )


def without_states(case: Case) -> Case:
    """The same without a state before the first step or a gradient by the last one."""
    return replace(case, initial=None, grad_final=None)


def kernels_of(specs: Sequence[JobSpec]) -> RecurrentCell:
    """The cell as kernels."""
    cell = make_gpu_cell(specs, CPU, A100_BYTES)
    assert cell is not None
    return cell


def run_kernels(case: Case) -> Outcome:
    """What the kernels make of a case."""
    return _run(kernels_of(case.specs), case)


def run_reference(case: Case) -> Outcome:
    """What the reference makes of it, in float64."""

    def double(state: State | None) -> State | None:
        return state and tuple(part.double() for part in state)

    exact = Case(
        case.specs,
        {name: tensor.double() for name, tensor in case.layer.items()},
        case.x.double(),
        double(case.initial),
        case.grad_h.double(),
        double(case.grad_final),
    )
    return _run(make_layers(case.specs, CPU, torch.float64)[0], exact)


def _run(cell: RecurrentCell, case: Case) -> Outcome:
    with torch.inference_mode():
        forward = cell.forward(case.x, case.layer, case.initial)
        # Copies, as the backward pass may overwrite what the forward pass kept.
        values = [tensor.clone() for tensor in (forward.h_KTBH, *forward.final_state)]
        gradients = {
            name: torch.full_like(tensor, torch.nan) for name, tensor in case.layer.items()
        }
        back = forward.backward(
            case.grad_h,
            gradients,
            grad_final=case.grad_final,
            needs_grad_x=True,
            measure=True,
        )
    assert back.grad_x_KTBI is not None
    assert back.flow is not None
    return Outcome(values, [back.grad_x_KTBI, *back.grad_initial, *gradients.values()], back.flow)
