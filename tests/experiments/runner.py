"""Trains an experiment's seeds as one pack, the way the worker does, and measures what came of it.

Shapes: S steps.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from contract.diagnosis import Verdict
from contract.merge_patch import apply_merge_patch
from contract.spec import JobSpec
from tests.experiments.experiment import SEEDS, Experiment, Measure, Outcome
from worker.datasets.task import Task
from worker.diagnosis.diagnose import diagnose
from worker.diagnosis.history import Floats, History
from worker.training.pack import Pack
from worker.training.records import JobStep, StepRecord


def run(experiment: Experiment) -> tuple[Outcome, ...]:
    """Train all seeds to the end."""
    specs = [_seeded(experiment, seed) for seed in SEEDS]
    pack = Pack([(spec, experiment.open_data(spec)) for spec in specs])
    steps: list[list[JobStep]] = [[] for _ in specs]
    trainer = experiment.trainer(pack, torch.device("cpu"), experiment.dtype)
    for job_steps in trainer.steps():
        for job_step in job_steps:
            steps[job_step.index].append(job_step)
    return tuple(
        _outcome(spec, dataset.task, steps_S)
        for spec, dataset, steps_S in zip(specs, pack.datasets, steps, strict=True)
    )


def _seeded(experiment: Experiment, seed: int) -> JobSpec:
    return JobSpec.model_validate(apply_merge_patch(experiment.spec, {"training": {"seed": seed}}))


def _outcome(spec: JobSpec, task: Task, steps_S: Sequence[JobStep]) -> Outcome:
    return Outcome(
        seed=spec.training.seed,
        steps=len(steps_S),
        measures=_measures(steps_S),
        verdict=_verdict(spec, task, steps_S),
    )


def _measures(steps_S: Sequence[JobStep]) -> dict[Measure, float]:
    losses = [step.evaluation.val_loss for step in steps_S if step.evaluation]
    records = [step.record for step in steps_S]
    flows = [step.flow for step in steps_S if step.flow]
    flow = flows[0]
    norm_T = flow.grad_norm_LT[0]
    return {
        Measure.BEST_LOSS: min(losses),
        Measure.LAST_LOSS: losses[-1],
        Measure.LAST_OVER_FIRST: losses[-1] / losses[0],
        Measure.NONFINITE_STEPS: sum(
            not math.isfinite(record.loss) or not math.isfinite(record.grad_norm)
            for record in records
        ),
        Measure.CLIPPED: sum(record.clip_coef < 1 for record in records) / len(records),
        Measure.FLOW_RATIO: norm_T[0] / norm_T[-1],
        Measure.REACH: flow.reach_L[0],
        Measure.UPDATE_FRACTION: _number(flows[-1].update_fraction),
        Measure.SPECTRAL_RADIUS: _number(flow.spectral_radius),
    }


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _verdict(spec: JobSpec, task: Task, steps_S: Sequence[JobStep]) -> Verdict:
    def series(read: Callable[[StepRecord], float]) -> Floats:
        return np.array([read(step.record) for step in steps_S])

    end = steps_S[-1].end
    history = History(
        spec=spec,
        task=task,
        loss_S=series(lambda record: record.loss),
        lr_S=series(lambda record: record.lr),
        grad_norm_S=series(lambda record: record.grad_norm),
        clip_coef_S=series(lambda record: record.clip_coef),
        update_ratio_S=series(lambda record: record.update_ratio),
        evals=tuple(step.evaluation for step in steps_S if step.evaluation),
        flows=tuple(step.flow for step in steps_S if step.flow),
        end=end.reason if end else None,
        loss_final=end.loss_final if end else None,
    )
    return diagnose("experiment", history).verdict
