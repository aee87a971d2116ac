"""One layer run forward and back, by our own passes and by autograd through a slow loop.

Shapes: K jobs of a pack, T time steps, B sequences, I inputs, H hidden units.
"""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from contract.spec import JobSpec
from tests.worker.cells.slow_cells import INPUTS, SlowLayer, close, drawn_parameters, normal
from worker.cells.cell import RecurrentCell, State
from worker.cells.flow import LayerFlow

Sizes = dict[str, int]
#: All that a run brings, by what it is.
Outcome = dict[str, Tensor]

drawn_sizes = st.fixed_dictionaries(
    {
        "jobs": st.integers(1, 3),
        "time_steps": st.integers(1, 11),
        "sequences": st.integers(1, 3),
        "hidden": st.integers(1, 4),
        "seed": st.integers(0, 10_000),
    }
)


@dataclass(frozen=True)
class LayerRun:
    """What a layer is run with; with the pack axis in front, or of one job without it."""

    x: Tensor
    parameters: dict[str, Tensor]
    grad_h: Tensor
    """Of every step."""
    initial: State = ()
    """Empty is 0."""
    grad_final: State = ()
    """Empty is 0."""

    def of_job(self, job: int) -> "LayerRun":
        """The same without the pack axis."""
        return LayerRun(
            self.x[job],
            {name: tensor[job] for name, tensor in self.parameters.items()},
            self.grad_h[job],
            tuple(part[job] for part in self.initial),
            tuple(part[job] for part in self.grad_final),
        )


def drawn_run(cell: RecurrentCell, spec: JobSpec, sizes: Sizes) -> LayerRun:
    """Any run: it starts from a state, and a gradient comes from the one it hands on."""
    jobs, seed = sizes["jobs"], sizes["seed"]
    x_KTBI = normal(jobs, sizes["time_steps"], sizes["sequences"], INPUTS, seed=seed + 20)
    parameters = drawn_parameters(spec, jobs, seed)
    handed_on = cell.forward(x_KTBI, parameters).final_state
    return LayerRun(
        x_KTBI,
        parameters,
        normal(*x_KTBI.shape[:3], spec.cell.hidden_size, seed=seed + 30),
        # In (0, 1), as any part of a state can be.
        tuple(normal(*p.shape, seed=seed + 40 + i).sigmoid() for i, p in enumerate(handed_on)),
        tuple(normal(*p.shape, seed=seed + 50 + i) for i, p in enumerate(handed_on)),
    )


def run_layer(cell: RecurrentCell, run: LayerRun) -> tuple[Outcome, LayerFlow]:
    """By our own passes; every tensor has the pack axis."""
    gradients = {
        name: torch.full_like(tensor, torch.nan) for name, tensor in run.parameters.items()
    }
    forward = cell.forward(run.x, run.parameters, run.initial or None)
    back = forward.backward(
        run.grad_h, gradients, grad_final=run.grad_final or None, needs_grad_x=True, measure=True
    )
    assert back.grad_x_KTBI is not None
    assert back.flow is not None
    outcome = {
        "h": forward.h_KTBH,
        "gradient of x": back.grad_x_KTBI,
        "norm of dL/dh_t": back.flow.grad_norm_KT,
        "norm of the term of dL/dW_hh": back.flow.weight_term_norm_KT,
    }
    outcome |= _numbered("final state", forward.final_state)
    outcome |= _numbered("gradient of the initial state", back.grad_initial)
    outcome |= {f"gradient of {name}": gradient for name, gradient in gradients.items()}
    return outcome, back.flow


def run_slowly(slow: SlowLayer, run: LayerRun) -> Outcome:
    """One job by autograd, with a start given and without the pack axis."""
    x = run.x.clone().requires_grad_()
    initial = tuple(part.clone().requires_grad_() for part in run.initial)
    # Each step has parameters of its own, whose gradients are the terms of the whole one.
    own = {
        name: tensor.expand(len(x), *tensor.shape).clone().requires_grad_()
        for name, tensor in run.parameters.items()
    }
    steps = [{name: tensor[step] for name, tensor in own.items()} for step in range(len(x))]
    states, final = slow(x, steps, initial)
    outputs = [*(state[0] for state in states), *final]
    given = [*run.grad_h, *run.grad_final]

    def gradients(inputs: list[Tensor]) -> list[Tensor]:
        return list(
            torch.autograd.grad(outputs, inputs, given, retain_graph=True, materialize_grads=True)
        )

    by_part = [torch.stack(gradients(list(part))) for part in zip(*states, strict=True)]
    by_parameter = dict(zip(own, gradients(list(own.values())), strict=True))
    outcome = {
        "h": torch.stack([state[0] for state in states]),
        "gradient of x": gradients([x])[0],
        "norm of dL/dh_t": torch.stack([_norm_of_each(part) for part in by_part]).norm(dim=0),
        "norm of the term of dL/dW_hh": _norm_of_each(by_parameter["weight_hh"]),
    }
    outcome |= _numbered("final state", final)
    outcome |= _numbered("gradient of the initial state", tuple(gradients(list(initial))))
    return outcome | {
        f"gradient of {name}": gradient.sum(dim=0) for name, gradient in by_parameter.items()
    }


def assert_equals_slow(cell: RecurrentCell, slow: SlowLayer, spec: JobSpec, sizes: Sizes) -> None:
    """States, all gradients and the flow are autograd's, in every job of a pack."""
    run = drawn_run(cell, spec, sizes)
    ours, _ = run_layer(cell, run)
    for job in range(sizes["jobs"]):
        expected = run_slowly(slow, run.of_job(job))

        assert expected.keys() == ours.keys()
        for name, tensor in expected.items():
            close(ours[name][job], tensor)


def _numbered(name: str, parts: State) -> Outcome:
    return {f"{name}, part {place}": part for place, part in enumerate(parts)}


def _norm_of_each(tensors: Tensor) -> Tensor:
    return torch.stack([torch.linalg.vector_norm(tensor) for tensor in tensors])
