"""Skips over time in training: packs, segments, records, and what they are good for."""

from typing import Any

import pyarrow as pa
import pytest
import torch

from contract.spec import JobSpec
from worker.datasets.registry import open_dataset
from worker.training.lesson import Exercise, Teacher
from worker.training.loop import train
from worker.training.model import stack_batches
from worker.training.pack import Pack
from worker.training.records import JobStep

CPU = torch.device("cpu")
SKIPS: list[dict[str, Any]] = [
    {"kind": "learned", "cost": 1e-3},
    {"kind": "residual", "lag": 3},
    {"kind": "dilated", "base": 4},
]
each_skip = pytest.mark.parametrize("skip", SKIPS, ids=lambda skip: skip["kind"])
each_cell = pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])


def recall_spec(
    cell: str, skip: dict[str, Any] | None, seed: int = 0, **training: object
) -> JobSpec:
    """Recall over 11 steps with two small layers; what is not given is small, too."""
    return JobSpec.model_validate(
        {
            "dataset": {"kind": "delayed_recall", "seq_len": 11},
            "cell": {"kind": cell, "hidden_size": 5, "num_layers": 2},
            "remedy": {"skip": skip},
            "training": {"batch_size": 4, "seed": seed, "max_steps": 6} | training,
            "diagnostics": {"flow_every": 3},
        }
    )


def no_table(dataset_id: str) -> pa.Table:
    """Nothing here is uploaded."""
    raise AssertionError(dataset_id)


def pack_of(*specs: JobSpec) -> Pack:
    """The jobs of a pack, on their datasets."""
    return Pack(
        [(spec, open_dataset(spec.dataset, spec.training.seed, no_table)) for spec in specs]
    )


def steps_of(pack: Pack) -> list[list[JobStep]]:
    """All steps in float64."""
    return list(train(pack, CPU, torch.float64))


@each_cell
@each_skip
def test_sequence_in_segments_teaches_the_same(cell: str, skip: dict[str, Any]) -> None:
    """Segments that fit neither lag nor dilation, shorter and longer ones, change no gradient."""
    pack = pack_of(recall_spec(cell, skip), recall_spec(cell, skip, seed=1))
    parameters_KP = pack.initial_parameters(torch.float64)
    batches = [dataset.batch(1, 4) for dataset in pack.datasets]
    exercise = Exercise(*stack_batches(batches, CPU, torch.float64))
    model = pack.model(CPU, torch.float64)
    gradients = []
    for segment_steps in (None, 2, 5):
        gradients.append(torch.full_like(parameters_KP, torch.nan))
        teacher = Teacher(model, pack.layout, segment_steps)
        buffer = pack.layout.buffer(gradients[-1])
        teacher.learn(exercise, pack.layout.views(parameters_KP), buffer)

    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(gradients[2], gradients[0], rtol=1e-9, atol=1e-12)


@each_cell
@each_skip
def test_job_with_a_skip_trains_in_a_pack_as_alone(cell: str, skip: dict[str, Any]) -> None:
    """Losses, norms and flows of two packed jobs are those of the jobs alone."""
    specs = [recall_spec(cell, skip), recall_spec(cell, skip, seed=1)]
    together = steps_of(pack_of(*specs))
    for index, spec in enumerate(specs):
        for packed, (alone,) in zip(together, steps_of(pack_of(spec)), strict=True):
            ours, flow = packed[index].record, packed[index].flow
            assert ours.loss == pytest.approx(alone.record.loss, rel=1e-9)
            assert ours.grad_norm == pytest.approx(alone.record.grad_norm, rel=1e-9)
            assert (flow is None) == (alone.flow is None)
            if flow is not None and alone.flow is not None:
                assert flow.update_fraction == alone.flow.update_fraction
                torch.testing.assert_close(
                    torch.from_numpy(flow.grad_norm_LT), torch.from_numpy(alone.flow.grad_norm_LT)
                )


def test_costs_of_a_pack_may_differ_and_are_not_part_of_the_loss() -> None:
    """The first losses of a free and a dear job are equal, their gradients are not."""
    free, dear = (recall_spec("gru", {"kind": "learned", "cost": cost}) for cost in (0.0, 5.0))
    first = steps_of(pack_of(free, dear))[0]

    assert first[0].record.loss == first[1].record.loss
    assert first[1].record.grad_norm > first[0].record.grad_norm


def test_different_lags_are_different_packs() -> None:
    """Only the cost is a job's own number."""
    specs = [recall_spec("rnn", {"kind": "residual", "lag": lag}) for lag in (2, 3)]

    with pytest.raises(ValueError, match="different shapes"):
        pack_of(*specs)


def test_flow_tells_the_share_of_updates_of_a_learned_skip_alone() -> None:
    """With b = 1 at the start nearly all steps update; other skips have no such share."""
    learned, residual = (
        steps_of(pack_of(recall_spec("gru", skip)))[0][0].flow for skip in SKIPS[:2]
    )

    assert learned is not None
    assert residual is not None
    assert learned.update_fraction is not None
    assert 0.5 < learned.update_fraction <= 1.0
    assert residual.update_fraction is None


def test_updates_that_cost_become_fewer() -> None:
    """Where an update costs more than all there is to learn, fewer and fewer steps do one."""
    spec = recall_spec(
        "gru",
        {"kind": "learned", "cost": 1.0},
        max_steps=120,
        optimizer={"kind": "adam", "lr": 0.02},
    )
    flows = [step.flow for (step,) in steps_of(pack_of(spec)) if step.flow]
    first, last = flows[0].update_fraction, flows[-1].update_fraction

    assert first is not None
    assert last is not None
    assert last < 0.75 * first


def test_residual_skip_learns_what_a_plain_network_does_not() -> None:
    """Recall over 40 steps by a tanh network: at ln 8 = 2.08 without a skip, learned with one."""
    val_losses = []
    for skip in (None, {"kind": "residual", "lag": 10}):
        spec = JobSpec.model_validate(
            {
                "dataset": {"kind": "delayed_recall", "seq_len": 40},
                "cell": {"kind": "rnn"},
                "remedy": {"skip": skip, "clipping": {"kind": "norm"}},
                "training": {"max_steps": 150, "eval_every": 150},
            }
        )
        (last,) = list(train(pack_of(spec), CPU))[-1]
        assert last.evaluation is not None
        val_losses.append(last.evaluation.val_loss)

    assert val_losses[0] > 2.0
    assert val_losses[1] < 0.2
