"""Networks on small sequences that are drawn, for the tests of directions and of dropout."""

from dataclasses import dataclass, replace

import pyarrow as pa
import torch
from torch import Tensor

from contract.spec import JobSpec
from worker.cells.registry import make_layers
from worker.datasets.registry import open_dataset
from worker.training.lesson import Exercise, Lesson, Teacher
from worker.training.model import Model
from worker.training.pack import Pack
from worker.training.parameters import ParameterLayout

CPU = torch.device("cpu")
INPUTS = 3
HIDDEN = 4


def spec_of(kind: str, seed: int = 0, /, **cell: object) -> JobSpec:
    """Five sequences of six steps of the adding problem, eight training steps."""
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "adding", "seq_len": 6},
            "cell": {"kind": kind, "hidden_size": HIDDEN, **cell},
            "training": {"batch_size": 5, "max_steps": 8, "seed": seed},
            "diagnostics": {"flow_every": 4},
        }
    )


def pack_of(*specs: JobSpec) -> Pack:
    """These jobs with their datasets."""

    def no_table(dataset_id: str) -> pa.Table:
        raise AssertionError(dataset_id)

    return Pack(
        [(spec, open_dataset(spec.dataset, spec.training.seed, no_table)) for spec in specs]
    )


@dataclass(frozen=True)
class Network:
    """A network in float64 with squared error, its parameters, and one batch."""

    teacher: Teacher
    parameters_KP: Tensor
    exercise: Exercise

    def learn(self, segment_steps: int | None = None) -> tuple[Lesson, Tensor]:
        """The lesson with its flow, and the gradients."""
        gradients_KP = torch.full_like(self.parameters_KP, torch.nan)
        teacher = replace(self.teacher, segment_steps=segment_steps)
        layout = teacher.layout
        parameters, gradients = layout.views(self.parameters_KP), layout.buffer(gradients_KP)
        lesson = teacher.learn(self.exercise, parameters, gradients, measure=True)
        return lesson, gradients_KP

    def with_masks(self, masks: list[Tensor]) -> "Network":
        """The same with dropout."""
        return replace(self, exercise=replace(self.exercise, masks=masks))


def draw_network(spec: JobSpec, target_steps: int = 1, outputs: int = 2) -> Network:
    """One job, T = 6, B = 5, everything normal, parameters at half the size."""
    generator = torch.Generator().manual_seed(spec.training.seed)
    layout = ParameterLayout(spec, INPUTS, outputs)
    layers = make_layers([spec], CPU, torch.float64, target_steps)
    model = Model(layers, "squared_error", target_steps)
    shapes = [(1, layout.num_parameters), (1, 6, 5, INPUTS), (1, target_steps, 5, outputs)]
    parameters_KP, x_KTBI, target_KSBO = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes
    )
    return Network(Teacher(model, layout), parameters_KP / 2, Exercise(x_KTBI, target_KSBO))
