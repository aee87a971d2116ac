"""The training loop: one step of all jobs of a pack, again and again. It knows no store.

Shapes: K jobs of a pack, P parameters of one job.

A job whose loss or gradient is not finite has its update refused: its parameters and its
optimizer's state stay as they are, bit for bit. A job that has ended is computed along and masked,
so that the others keep their bits.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from contract.spec import longest_skip
from worker.datasets.task import Batch
from worker.remedies.clipping import clip
from worker.training.flow import PackFlow, collect_flow
from worker.training.job_run import JobRun
from worker.training.lesson import Exercise, Lesson, Teacher
from worker.training.model import stack_batches
from worker.training.optimizers import make_optimizer
from worker.training.pack import Pack
from worker.training.records import FlowRecord, JobStep, StepRecord


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
    """

    def __init__(
        self, pack: Pack, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        self._pack = pack
        self._device = device
        self._dtype = dtype
        self._teacher = Teacher(pack.model(device, dtype), pack.layout)
        self._judges = [pack.alone(index).model(device, dtype) for index in range(len(pack.specs))]
        self._parameters_KP = pack.initial_parameters(dtype).to(device)
        self._before_KP = torch.empty_like(self._parameters_KP)
        self._gradients_KP = torch.zeros_like(self._parameters_KP)
        self._optimizer = make_optimizer(
            [spec.training.optimizer for spec in pack.specs],
            pack.layout.num_parameters,
            device,
            dtype,
        )
        self._clippings = [spec.remedy.clipping for spec in pack.specs]
        self._jobs = [
            JobRun(spec, dataset) for spec, dataset in zip(pack.specs, pack.datasets, strict=True)
        ]
        self._batches: list[Batch] = []
        self._step = 0

    def steps(self) -> Iterator[list[JobStep]]:
        """Train until every job has ended."""
        while any(job.running for job in self._jobs):
            self._step += 1
            with torch.inference_mode():
                job_steps = self._train_step()
            yield job_steps

    def parameters(self, index: int) -> dict[str, Tensor]:
        """A copy of one job's parameters by name, on the CPU; see `ParameterLayout.shapes`."""
        row_P = self._parameters_KP[index].detach().cpu()
        return {name: view.clone() for name, view in self._pack.layout.named(row_P).items()}

    def _train_step(self) -> list[JobStep]:
        lrs = [job.lr(self._step) for job in self._jobs]
        exercise = Exercise(*stack_batches(self._next_batches(), self._device, self._dtype))
        lesson = self._teacher.learn(
            exercise,
            self._parameters_KP,
            self._gradients_KP,
            measure=any(job.is_flow_step(self._step) for job in self._jobs),
        )
        flow = self._collect(lesson) if lesson.flows else None
        measured_KM = self._update(lesson.loss_K, lrs)
        return self._report(lrs, measured_KM, flow)

    def _next_batches(self) -> list[Batch]:
        """A new batch for each running job; one that has ended keeps its last."""
        self._batches = [
            job.batch(self._step) if job.running else self._batches[index]
            for index, job in enumerate(self._jobs)
        ]
        return self._batches

    def _collect(self, lesson: Lesson) -> PackFlow:
        return collect_flow(
            lesson.flows,
            self._pack.layout.views(self._parameters_KP),
            with_radius=any(job.is_radius_step(self._step) for job in self._jobs),
        )

    def _update(self, loss_K: Tensor, lrs: list[float]) -> list[list[float]]:
        """Clip and update where loss and gradient are finite.

        Returns:
            By job: loss, gradient norm, clipping coefficient, norm of the parameters after the
            update and before it, norm of the update, and 1 if it was made, else 0.
        """
        grad_norm_K, clip_coef_K = clip(self._gradients_KP, self._clippings)
        running_K = torch.tensor([job.running for job in self._jobs])
        finite_K = loss_K.isfinite() & grad_norm_K.isfinite()
        active_K = finite_K & running_K.to(self._device, non_blocking=True)
        self._before_KP.copy_(self._parameters_KP)
        self._optimizer.step(
            self._parameters_KP,
            self._gradients_KP,
            torch.tensor(lrs, dtype=torch.float64),
            active_K,
        )
        norms = _norms(self._parameters_KP, self._before_KP)
        columns = [loss_K, grad_norm_K, clip_coef_K, *norms, active_K]
        # The one moment of a step at which the host waits for the device.
        measured: list[list[float]] = torch.stack([c.double() for c in columns], dim=1).tolist()
        return measured

    def _report(
        self, lrs: list[float], measured_KM: list[list[float]], flow: PackFlow | None
    ) -> list[JobStep]:
        return [
            self._job_step(index, lrs[index], measured_KM[index], flow)
            for index, job in enumerate(self._jobs)
            if job.running
        ]

    def _job_step(
        self, index: int, lr: float, measured_M: list[float], flow: PackFlow | None
    ) -> JobStep:
        loss, grad_norm, clip_coef, param_norm, before_norm, update_norm, updated = measured_M
        job = self._jobs[index]
        network = self._pack.layout.views(self._parameters_KP[index : index + 1])
        evaluation, end = job.conclude(
            self._step,
            updated=bool(updated),
            judge=lambda batch: self._judges[index].evaluate(network, batch),
        )
        return JobStep(
            index=index,
            record=StepRecord(
                step=self._step,
                loss=loss,
                lr=lr,
                grad_norm=grad_norm,
                clip_coef=clip_coef,
                param_norm=param_norm,
                update_ratio=update_norm / before_norm if before_norm else 0.0,
            ),
            evaluation=evaluation,
            flow=self._flow_record(flow, index) if flow else None,
            end=end,
        )

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


def _norms(after_KP: Tensor, before_KP: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(K,) float64 norms of the parameters after, before, and of their difference."""
    after_K, before_K, update_K = (
        torch.linalg.vector_norm(rows_KP, dim=1, dtype=torch.float64)
        for rows_KP in (after_KP, before_KP, after_KP - before_KP)
    )
    return after_K, before_K, update_K
