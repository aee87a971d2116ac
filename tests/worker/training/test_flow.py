"""The flow of a pack as each job's record, and how far the gradient reaches."""

import math

import numpy as np
import pytest
import torch

from contract.spec import JobSpec
from tests.worker.training.lessons import CPU, make_course
from tests.worker.training.tiny_tasks import TinyDataset
from worker.cells.flow import LayerFlow
from worker.training.flow import FLOW_FLOOR, PackFlow, collect_flow, reach
from worker.training.lesson import Exercise, Teacher
from worker.training.measures import spectral_radius
from worker.training.model import stack_batches
from worker.training.pack import Pack
from worker.training.records import FlowRecord


def _pack_flow(kind: str = "rnn", *, with_radius: bool = True) -> PackFlow:
    """Of two jobs of two layers and six steps."""
    course = make_course(kind)
    lesson, _ = course.teach(measure=True)
    network = course.pack.layout.views(course.start)
    return collect_flow(lesson.flows, network, with_radius=with_radius)


def test_flow_is_stacked_by_job_layer_and_step() -> None:
    """What layer l measured of job k at step t is found at [k, l, t]; shares are mean of layers."""
    course = make_course("gru")
    lesson, _ = course.teach(measure=True)
    network = course.pack.layout.views(course.start)
    flow = collect_flow(lesson.flows, network, with_radius=True)
    low, high = lesson.flows

    np.testing.assert_array_equal(flow.grad_norm_KLT[:, 0], low.grad_norm_KT)
    np.testing.assert_array_equal(flow.grad_norm_KLT[:, 1], high.grad_norm_KT)
    np.testing.assert_array_equal(flow.weight_term_norm_KLT[:, 1], high.weight_term_norm_KT)
    assert flow.saturation_K == ((low.saturation_K + high.saturation_K) / 2).tolist()
    assert flow.spectral_radius_K == spectral_radius(network).tolist()


def test_flow_record_holds_one_jobs_numbers() -> None:
    """The record of a job has its own rows, a reach a layer, and no dead units for tanh."""
    flow = _pack_flow()
    record = flow.record(7, 1, with_radius=True)

    assert record.step == 7
    np.testing.assert_array_equal(record.grad_norm_LT, flow.grad_norm_KLT[1])
    np.testing.assert_array_equal(record.weight_term_norm_LT, flow.weight_term_norm_KLT[1])
    assert record.reach_L == tuple(reach(norm_T) for norm_T in flow.grad_norm_KLT[1])
    assert record.saturation == flow.saturation_K[1]
    assert record.dead_fraction is None
    assert flow.spectral_radius_K is not None
    assert record.spectral_radius == flow.spectral_radius_K[1]


def test_record_without_radius_has_none() -> None:
    """A job that did not ask for its radius gets none, whether or not the pack's was measured."""
    assert _pack_flow().record(7, 1, with_radius=False).spectral_radius is None
    assert _pack_flow(with_radius=False).record(7, 1, with_radius=True).spectral_radius is None


def test_radius_that_is_no_number_is_none() -> None:
    """JSON has no nan."""
    flow = PackFlow(np.ones((1, 1, 3)), np.ones((1, 1, 3)), [0.0], None, [math.nan])

    assert flow.record(1, 0, with_radius=True).spectral_radius is None


@pytest.mark.parametrize(
    ("norms", "expected"),
    [
        ([5.0, 0.005, 0.01, 0.5, 1.0], 3),
        ([1.0, 1.0], 2),
        ([3.0, 0.0], 0),
        ([0.0, 0.0, 1.0], 1),
        ([1.0, math.nan], 0),
        ([1.0, math.nan, 1.0], 1),
        ([math.inf, math.inf], 2),
        ([FLOW_FLOOR / 2, FLOW_FLOOR], 1),
    ],
)
def test_reach_counts_back_to_the_first_missed_step(norms: list[float], expected: int) -> None:
    """Consecutive steps from the last, each with 1 % of its norm and not under the floor."""
    assert reach(np.array(norms)) == expected


def _first_record(cell: dict[str, object]) -> FlowRecord:
    """Of an untrained network on 32 sequences of 100 steps, in float32."""
    spec = JobSpec.model_validate({"dataset": {"kind": "adding"}, "cell": cell})
    dataset = TinyDataset(seq_len=100)
    pack = Pack([(spec, dataset)])
    parameters_KP = pack.initial_parameters(torch.float32)
    x_KTBI, target = stack_batches([dataset.batch(1, 32)], CPU, torch.float32)
    network = pack.layout.views(parameters_KP)
    gradients = pack.layout.buffer(torch.empty_like(parameters_KP))
    teacher = Teacher(pack.model(CPU, torch.float32), pack.layout)
    lesson = teacher.learn(Exercise(x_KTBI, target), network, gradients, measure=True)
    return collect_flow(lesson.flows, network, with_radius=True).record(1, 0, with_radius=True)


def test_default_tanh_network_forgets_at_once() -> None:
    """The default start, H = 64: spectral radius near 1/sqrt(3), reach under 16 of 100."""
    record = _first_record({"kind": "rnn", "hidden_size": 64})

    assert record.spectral_radius is not None
    assert 0.5 <= record.spectral_radius <= 0.7
    assert 1 <= record.reach_L[0] <= 15
    assert record.saturation is not None
    assert record.saturation < 0.1


def test_dead_units_are_counted_over_all_layers() -> None:
    """One of two units below and both above are three of four."""
    norm_KT = torch.ones(1, 3, dtype=torch.float64)
    layers = [
        LayerFlow(norm_KT, norm_KT, torch.zeros(1), torch.tensor([silent]))
        for silent in ([True, False], [True, True])
    ]
    course = make_course("rnn")
    network = course.pack.layout.views(course.start)
    flow = collect_flow(layers, network, with_radius=False)

    assert flow.dead_fraction_K == [0.75]
    assert flow.record(1, 0, with_radius=False).dead_fraction == 0.75
