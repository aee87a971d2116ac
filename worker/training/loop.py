"""The training loop: one step of all jobs of a pack, again and again. It knows no store.

Shapes: K jobs of a pack, P parameters of one job, T time steps, B sequences, I inputs.

A job whose loss or gradient is not finite has its update refused: its parameters and its
optimizer's state stay as they are, bit for bit. A job that has ended is computed along and masked,
so that the others keep their bits.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from contract.spec import longest_skip
from worker.datasets.task import Batch
from worker.training.crew import Crew
from worker.training.dropout import dropout_masks
from worker.training.flow import PackFlow, collect_flow
from worker.training.job_run import JobRun
from worker.training.lesson import Exercise, Lesson, Teacher
from worker.training.memory import segment_steps
from worker.training.model import stack_batches
from worker.training.pack import Pack
from worker.training.records import FlowRecord, JobStep
from worker.training.snapshots import Snapshots
from worker.training.update import Measured, Update

DEFAULT_BUDGET_BYTES = 2**28


def train(
    pack: Pack, device: torch.device, dtype: torch.dtype = torch.float32
) -> Iterator[list[JobStep]]:
    """Train a pack to the end; each list is one step and holds the jobs then still running."""
    return Trainer(pack, device, dtype).steps()


class Trainer:
    """The state of a pack in training.

    Args:
        pack: the jobs.
        device: where the tensors live.
        dtype: of the parameters and everything computed; float32 or float64.
        budget_bytes: for what one job's backward pass needs of its forward pass; beyond it time is
            cut into segments.
        threads: among which the jobs are shared.
    """

    def __init__(
        self,
        pack: Pack,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        budget_bytes: int = DEFAULT_BUDGET_BYTES,
        threads: int = 1,
    ) -> None:
        self._pack = pack
        self._device = device
        self._dtype = dtype
        layout, specs = pack.layout, pack.specs
        segments = segment_steps(
            specs[0], pack.seq_len, layout.input_size, budget_bytes, dtype.itemsize
        )
        self._judges = [
            pack.part(index, index + 1).model(device, dtype) for index in range(len(specs))
        ]
        self._parameters = layout.buffer(pack.initial_parameters(dtype).to(device))
        self._gradients = layout.buffer(torch.zeros_like(self._parameters.flat_KP))
        self._crew = Crew(
            pack,
            self._parameters,
            self._gradients,
            lambda part: Teacher(part.model(device, dtype), layout, segments),
            threads,
        )
        self._update = Update(specs, layout, device, dtype)
        self._snapshots = Snapshots([self._parameters.flat_KP, *self._update.state])
        self._jobs = [JobRun(spec, data) for spec, data in zip(specs, pack.datasets, strict=True)]
        self._batches: list[Batch] = []
        self._step = 0

    def steps(self) -> Iterator[list[JobStep]]:
        """Train until every job has ended."""
        with torch.inference_mode():
            self._keep_snapshots()
        while any(job.running for job in self._jobs):
            self._step += 1
            with torch.inference_mode():
                job_steps = self._train_step()
            yield job_steps

    def drop(self, index: int) -> None:
        """End one job between two steps, without an evaluation; the others keep their bits.

        A job that has ended stays as it is.
        """
        self._jobs[index].leave()

    def parameters(self, index: int) -> dict[str, Tensor]:
        """A copy of one job's parameters by name, on the CPU; see `ParameterLayout.shapes`."""
        row_P = self._parameters.flat_KP[index].detach().cpu()
        return {name: view.clone() for name, view in self._pack.layout.named(row_P).items()}

    def _train_step(self) -> list[JobStep]:
        lrs = [job.lr(self._step) for job in self._jobs]
        measure = any(job.is_flow_step(self._step) for job in self._jobs)
        lesson = self._learn(self._next_exercise(), measure=measure)
        flow = self._collect(lesson) if measure else None
        measured = self._update.apply(
            self._parameters.flat_KP,
            self._gradients.flat_KP,
            lesson.loss_K,
            lrs,
            [job.running for job in self._jobs],
        )
        job_steps = [
            self._job_step(index, lrs[index], measured[index], flow)
            for index, job in enumerate(self._jobs)
            if job.running
        ]
        self._keep_snapshots()
        return job_steps

    def _learn(self, exercise: Exercise, *, measure: bool) -> Lesson:
        return self._crew.learn(exercise, measure=measure)

    def _next_exercise(self) -> Exercise:
        x_KTBI, target = stack_batches(self._next_batches(), self._device, self._dtype)
        masks = dropout_masks(
            self._pack.specs, self._step, x_KTBI.shape[1], self._device, self._dtype
        )
        return Exercise(x_KTBI, target, masks)

    def _next_batches(self) -> list[Batch]:
        """A new batch for each running job; one that has ended keeps its last."""
        is_first = not self._batches
        self._batches = [
            job.batch(self._step) if job.running or is_first else self._batches[index]
            for index, job in enumerate(self._jobs)
        ]
        return self._batches

    def _collect(self, lesson: Lesson) -> PackFlow:
        return collect_flow(
            lesson.flows,
            self._parameters.network,
            with_radius=any(job.is_radius_step(self._step) for job in self._jobs),
        )

    def _job_step(
        self, index: int, lr: float, measured: Measured, flow: PackFlow | None
    ) -> JobStep:
        job, record = self._jobs[index], measured.record(self._step, lr)
        flow_record = self._flow_record(flow, index) if flow else None
        if job.must_go_back(record, updated=bool(measured.updated)):
            self._snapshots.go_back(index)
        conclusion = job.conclude(self._step, lambda batch: self._judge(index, batch))
        if conclusion.end:
            self._snapshots.forget(index)
        return JobStep(
            index=index,
            record=record,
            evaluation=conclusion.evaluation,
            flow=flow_record,
            events=conclusion.events,
            end=conclusion.end,
        )

    def _judge(self, index: int, batch: Batch) -> tuple[float, float | None]:
        # A copy, as products may round by where in memory their factors begin.
        row_1P = self._parameters.flat_KP[index : index + 1].clone()
        network = self._pack.layout.views(row_1P)
        return self._judges[index].evaluate(network, batch)

    def _flow_record(self, flow: PackFlow, index: int) -> FlowRecord | None:
        job = self._jobs[index]
        if not job.is_flow_step(self._step):
            return None
        spec = self._pack.specs[index]
        return flow.record(
            self._step,
            index,
            span=longest_skip(spec.remedy.skip, spec.cell.num_layers),
            with_radius=job.is_radius_step(self._step),
        )

    def _keep_snapshots(self) -> None:
        for index, job in enumerate(self._jobs):
            if job.wants_snapshot(self._step):
                self._snapshots.keep(index)
