"""A pack: jobs of equal shapes, trained together on a leading axis. One job is a pack of one.

Shapes: K jobs of a pack, P parameters of one job, L layers.
"""

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from contract.spec import JobSpec, LearnedSkip
from worker.cells.registry import make_layers
from worker.datasets.task import Dataset, Task
from worker.remedies.inits import initialise, initialise_readout
from worker.training.model import Model
from worker.training.parameters import ParameterLayout


class Pack:
    """Jobs whose tensors have the same shapes and whose steps are the same operations.

    Their numbers may differ: seeds, learning rates, slopes, inits, clippings, lr controls, budgets.

    Args:
        jobs: each spec with its opened dataset.
        gpu_kernels: whether a GPU's kernels are used where there are some.

    Raises:
        ValueError: if there is no job, or two differ in more than numbers.
    """

    def __init__(
        self, jobs: Sequence[tuple[JobSpec, Dataset]], *, gpu_kernels: bool = False
    ) -> None:
        self._jobs = jobs
        self._gpu_kernels = gpu_kernels
        self.specs = [spec for spec, _ in jobs]
        self.datasets = [dataset for _, dataset in jobs]
        if not jobs:
            raise ValueError("a pack needs at least one job")
        if len({_shape(spec, dataset.task) for spec, dataset in jobs}) > 1:
            raise ValueError("jobs of different shapes cannot be packed")
        task = self.datasets[0].task
        self.layout = ParameterLayout(self.specs[0], task.input_size, task.output_size)

    @property
    def seq_len(self) -> int:
        """Time steps of every sequence."""
        return self.datasets[0].task.seq_len

    def part(self, first: int, end: int) -> "Pack":
        """A pack of the jobs from `first` until before `end`."""
        return Pack(self._jobs[first:end], gpu_kernels=self._gpu_kernels)

    def model(self, device: torch.device, dtype: torch.dtype) -> Model:
        """The network all jobs share, without its parameters."""
        task = self.datasets[0].task
        layers = make_layers(
            self.specs, device, dtype, task.target_steps, gpu_kernels=self._gpu_kernels
        )
        return Model(layers, task.loss, task.target_steps)

    def initial_parameters(self, dtype: torch.dtype) -> Tensor:
        """(K, P) on the CPU; each job starts from its own seed, the same in whatever pack."""
        parameters_KP = torch.zeros(len(self.specs), self.layout.num_parameters, dtype=dtype)
        for spec, row_P in zip(self.specs, parameters_KP, strict=True):
            generator = torch.Generator().manual_seed(spec.training.seed)
            network = self.layout.views(row_P)
            initialise(network.layers, spec.cell, spec.remedy, generator)
            initialise_readout(network.weight, network.bias, generator)
        return parameters_KP


def _shape(spec: JobSpec, task: Task) -> Hashable:
    """All that jobs of one pack have in common."""
    activation = spec.remedy.activation.kind if spec.remedy.activation else "tanh"
    training = spec.training
    sizes = (task.input_size, task.output_size, task.seq_len, task.target_steps)
    optimizer = training.optimizer.kind
    skip = spec.remedy.skip
    if isinstance(skip, LearnedSkip):
        skip = skip.model_copy(update={"cost": 0.0})
    return spec.cell, activation, skip, task.loss, sizes, training.batch_size, optimizer
