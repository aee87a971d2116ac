"""When one job's flow is recorded, and when its spectral radius with it."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.training.tiny_tasks import TinyDataset, tiny_spec
from worker.training.job_run import RADIUS_EVERY, JobRun
from worker.training.loop import train
from worker.training.pack import Pack


def _steps(flow_every: int, until: int) -> tuple[list[int], list[int]]:
    """The flow steps and the radius steps of a job."""
    job = JobRun(tiny_spec(flow_every=flow_every), TinyDataset())
    steps = range(1, until + 1)
    return (
        [step for step in steps if job.is_flow_step(step)],
        [step for step in steps if job.is_radius_step(step)],
    )


def test_radius_steps_of_twenty_by_hand() -> None:
    """With flow at every 20th step: the first, and the first ones from 50, 100, 150 and 200 on."""
    flow_steps, radius_steps = _steps(20, 210)

    assert flow_steps == [1, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200]
    assert radius_steps == [1, 60, 100, 160, 200]


@given(flow_every=st.integers(1, 170))
def test_radius_is_measured_once_in_fifty_steps(flow_every: int) -> None:
    """Of the flow steps in each stretch of fifty steps, the first alone is a radius step."""
    flow_steps, radius_steps = _steps(flow_every, 400)
    first: dict[int, int] = {}
    for step in flow_steps:
        first.setdefault(step // RADIUS_EVERY, step)

    assert radius_steps == list(first.values())


def test_job_that_has_ended_is_not_measured() -> None:
    """Neither its flow nor its radius."""
    job = JobRun(tiny_spec(flow_every=1), TinyDataset())
    job.running = False

    assert not job.is_flow_step(1)
    assert not job.is_radius_step(1)


def test_packed_jobs_have_a_radius_at_their_own_steps() -> None:
    """A job's records have a radius at the same steps, whoever else of the pack is measured."""
    jobs = [(tiny_spec(flow_every=every, max_steps=61), TinyDataset()) for every in (4, 30)]
    measured: list[list[int]] = [[], []]
    for job_steps in train(Pack(jobs), torch.device("cpu")):
        for job_step in job_steps:
            if job_step.flow and job_step.flow.spectral_radius is not None:
                measured[job_step.index].append(job_step.flow.step)

    assert measured == [[1, 52], [1, 60]]


def test_flow_of_the_last_step_is_recorded() -> None:
    """A job that ends at a flow step still tells the flow of that step."""
    pack = Pack([(tiny_spec(max_steps=8), TinyDataset())])
    *_, (last,) = train(pack, torch.device("cpu"))

    assert last.end is not None
    assert last.flow is not None
