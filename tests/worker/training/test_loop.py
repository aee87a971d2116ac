"""The loop: what a step does, when it evaluates, when it refuses, and when a job ends."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from contract.spec import JobSpec
from tests.worker.training.tiny_tasks import TinyDataset, tiny_spec
from worker.datasets.task import Batch
from worker.training.job_run import MAX_REFUSALS
from worker.training.loop import Trainer, train
from worker.training.model import stack_batches
from worker.training.pack import Pack
from worker.training.records import EndReason, JobStep

CPU = torch.device("cpu")
Jobs = Sequence[tuple[JobSpec, TinyDataset]]


def _trained(jobs: Jobs, dtype: torch.dtype = torch.float64) -> tuple[Trainer, list[list[JobStep]]]:
    """Train to the end; the steps of each job."""
    trainer = Trainer(Pack(jobs), CPU, dtype)
    steps: list[list[JobStep]] = [[] for _ in jobs]
    for job_steps in trainer.steps():
        for job_step in job_steps:
            steps[job_step.index].append(job_step)
    return trainer, steps


def _flat(trainer: Trainer, index: int) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in trainer.parameters(index).values()])


def _bits(steps: list[JobStep]) -> list[str]:
    """Each step's numbers to the last bit; nan equals nan."""
    return [
        repr(
            (step.record, step.evaluation, step.end, step.flow and step.flow.grad_norm_LT.tolist())
        )
        for step in steps
    ]


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_packed_equals_alone(kind: str) -> None:
    """After 50 steps every job of a pack is where it would be alone, its numbers its own."""
    jobs = [
        (
            tiny_spec(
                kind,
                seed=seed,
                max_steps=50,
                eval_every=20,
                optimizer={"kind": "adam", "lr": lr},
                remedy={"clipping": clipping},
            ),
            TinyDataset(seed),
        )
        for seed, lr, clipping in [
            (1, 0.01, None),
            (2, 0.02, {"kind": "norm", "max_norm": 0.1}),
            (3, 0.03, {"kind": "value", "clip_value": 0.01}),
        ]
    ]
    packed, packed_steps = _trained(jobs)
    for index, job in enumerate(jobs):
        alone, (alone_steps,) = _trained([job])
        losses = [step.record.loss for step in packed_steps[index]]

        torch.testing.assert_close(_flat(packed, index), _flat(alone, 0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(losses, [s.record.loss for s in alone_steps], rtol=1e-10)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_diverging_member_leaves_the_others_bitwise_alike(kind: str) -> None:
    """A member whose data turns infinite, is refused and ends changes no bit of the others."""
    healthy = [(tiny_spec(kind, seed=seed, max_steps=20), TinyDataset(seed)) for seed in (1, 2)]
    third = tiny_spec(kind, seed=3, max_steps=20)
    calm, calm_steps = _trained([healthy[0], (third, TinyDataset(3)), healthy[1]], torch.float32)
    broken_job = (third, TinyDataset(3, poisoned_from=4))
    broken, broken_steps = _trained([healthy[0], broken_job, healthy[1]], torch.float32)

    assert broken_steps[1][-1].record.step == 3 + MAX_REFUSALS
    for index in (0, 2):
        assert torch.equal(_flat(calm, index), _flat(broken, index))
        assert _bits(calm_steps[index]) == _bits(broken_steps[index])


def test_same_spec_twice_gives_the_same_bits() -> None:
    """Two runs of one spec agree in every number."""
    first, first_steps = _trained([(tiny_spec(), TinyDataset())], torch.float32)
    second, second_steps = _trained([(tiny_spec(), TinyDataset())], torch.float32)

    assert torch.equal(_flat(first, 0), _flat(second, 0))
    assert _bits(first_steps[0]) == _bits(second_steps[0])


def test_training_equals_torch_step_by_step() -> None:
    """Ten steps of autograd, clip_grad_norm_ and Adam give the same losses, norms and weights."""
    spec = tiny_spec("lstm", seed=5, remedy={"clipping": {"kind": "norm", "max_norm": 0.2}})
    start = Trainer(Pack([(spec, TinyDataset(5))]), CPU, torch.float64).parameters(0)
    module = nn.ModuleDict({"rnn": nn.LSTM(2, 5, 2), "readout": nn.Linear(5, 2)}).double()
    module.load_state_dict(start)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    trainer, (steps,) = _trained([(spec, TinyDataset(5))])
    for step in steps:
        x_KTBI, target = stack_batches(
            [TinyDataset(5).batch(step.record.step, 4)], CPU, torch.float64
        )
        output, _ = module["rnn"](x_KTBI[0])
        loss = nn.functional.mse_loss(module["readout"](output[-1:]), target[0])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(module.parameters(), 0.2)
        optimizer.step()

        assert step.record.loss == pytest.approx(loss.item(), rel=1e-9)
        assert step.record.grad_norm == pytest.approx(norm.item(), rel=1e-9)
        assert step.record.clip_coef == pytest.approx(min(1.0, 0.2 / norm.item()), rel=1e-4)
    expected = torch.cat([tensor.flatten() for tensor in module.state_dict().values()])
    torch.testing.assert_close(_flat(trainer, 0), expected, rtol=1e-9, atol=1e-12)


def test_record_tells_the_norms_of_weights_and_update() -> None:
    """With plain SGD the update is lr times the gradient, and its ratio is told."""
    spec = tiny_spec(optimizer={"kind": "sgd", "lr": 0.5}, max_steps=1)
    trainer = Trainer(Pack([(spec, TinyDataset())]), CPU, torch.float64)
    before = float(_flat(trainer, 0).norm())
    ((step,),) = trainer.steps()
    record = step.record

    assert record.lr == 0.5
    assert record.update_ratio == pytest.approx(0.5 * record.grad_norm / before, rel=1e-10)
    assert record.param_norm == pytest.approx(float(_flat(trainer, 0).norm()), rel=1e-12)


def test_refused_updates_change_nothing_and_end_the_job() -> None:
    """From the first infinite batch on the weights stay; the fifth refusal in a row is the end."""
    job = (tiny_spec(max_steps=50), TinyDataset(poisoned_from=3))
    trainer = Trainer(Pack([job]), CPU)
    steps = trainer.steps()
    next(steps)
    next(steps)
    kept_P = _flat(trainer, 0)
    refused = [step for (step,) in steps]

    assert len(refused) == MAX_REFUSALS
    assert not any(math.isfinite(step.record.loss) for step in refused)
    assert torch.equal(_flat(trainer, 0), kept_P)
    assert [step.record.update_ratio for step in refused] == [0.0] * MAX_REFUSALS
    assert [step.end is not None for step in refused] == [False] * (MAX_REFUSALS - 1) + [True]
    assert refused[-1].end is not None
    assert refused[-1].end.reason is EndReason.NONFINITE
    assert math.isfinite(refused[-1].end.loss_final)
    assert refused[-1].evaluation is not None


class _Hiccup(TinyDataset):
    """Every step but each fifth has an infinite batch."""

    def batch(self, step: int, size: int) -> Batch:
        batch = super().batch(step, size)
        if step % MAX_REFUSALS:
            batch.x_NTI[:] = np.inf
        return batch


def test_refusals_must_be_in_a_row() -> None:
    """Four refusals, an update and four more do not end a job."""
    _, (steps,) = _trained([(tiny_spec(max_steps=12), _Hiccup())])

    assert len(steps) == 12
    assert steps[-1].end is not None
    assert steps[-1].end.reason is EndReason.MAX_STEPS


@pytest.mark.parametrize(("max_steps", "expected"), [(10, [4, 8, 10]), (8, [4, 8]), (3, [3])])
def test_evaluates_on_time_and_at_the_end(max_steps: int, expected: list[int]) -> None:
    """Every `eval_every` steps and once more at the last one, which alone has the end."""
    _, (steps,) = _trained([(tiny_spec(max_steps=max_steps, eval_every=4), TinyDataset())])

    assert [step.evaluation.step for step in steps if step.evaluation] == expected
    assert [step.record.step for step in steps if step.end] == [max_steps]


def test_flow_is_recorded_at_the_first_step_and_on_time() -> None:
    """Step 1 and every `flow_every`-th, here 4."""
    _, (steps,) = _trained([(tiny_spec(), TinyDataset())])

    assert [step.flow.step for step in steps if step.flow] == [1, 4, 8]


def test_ends_at_the_target() -> None:
    """The first evaluation below the target ends the job, not a step before."""
    spec = tiny_spec(eval_every=3, stop={"kind": "target", "below": 1e9})
    _, (steps,) = _trained([(spec, TinyDataset())])

    assert len(steps) == 3
    assert steps[-1].end is not None
    assert steps[-1].end.reason is EndReason.TARGET


def test_ended_job_leaves_the_pack() -> None:
    """A job with fewer steps reports no more, asks for no more data and keeps its weights."""
    short, long = TinyDataset(1), TinyDataset(2)
    jobs = [(tiny_spec(max_steps=3), short), (tiny_spec(max_steps=6), long)]
    packed, steps = _trained(jobs)
    alone, _ = _trained([(tiny_spec(max_steps=3), TinyDataset(1))])

    assert [len(of_job) for of_job in steps] == [3, 6]
    assert short.asked_steps == [1, 2, 3]
    torch.testing.assert_close(_flat(packed, 0), _flat(alone, 0), rtol=1e-12, atol=1e-12)


def test_forecast_is_told_in_the_datas_units() -> None:
    """With a unit scale the metric and the final loss are the loss times it."""
    _, (steps,) = _trained([(tiny_spec(max_steps=1), TinyDataset(unit_scale=4.0))])
    _, (plain,) = _trained([(tiny_spec(max_steps=1), TinyDataset())])

    assert steps[0].evaluation is not None
    assert steps[0].evaluation.val_metric == 4 * steps[0].evaluation.val_loss
    assert plain[0].evaluation is not None
    assert plain[0].evaluation.val_metric is None
    assert steps[0].end is not None
    assert plain[0].end is not None
    assert steps[0].end.loss_final == 4 * plain[0].end.loss_final


def test_classes_are_told_as_accuracy() -> None:
    """With cross entropy the metric is a share of right answers, which training raises."""
    spec = tiny_spec("gru", max_steps=150, optimizer={"kind": "adam", "lr": 0.03})
    _, (steps,) = _trained([(spec, TinyDataset(loss="cross_entropy"))], torch.float32)

    assert steps[-1].evaluation is not None
    assert steps[-1].evaluation.val_metric is not None
    assert steps[-1].evaluation.val_metric > 0.8


def test_plateau_control_hears_of_evaluations() -> None:
    """With no patience and nothing counting as improvement, lr is cut after each evaluation."""
    control = {"kind": "plateau", "factor": 0.5, "patience": 0, "threshold": 0.999}
    spec = tiny_spec(remedy={"lr_control": control}, eval_every=2, max_steps=6)
    _, (steps,) = _trained([(spec, TinyDataset())])

    assert [step.record.lr for step in steps] == pytest.approx([1e-3] * 4 + [5e-4] * 2)


def test_leaky_pack_is_judged_job_by_job() -> None:
    """Jobs with different slopes are trained together and evaluated each with its own."""
    jobs = [
        (
            tiny_spec(
                seed=1,
                remedy={"activation": {"kind": "leaky_relu", "negative_slope": slope}},
            ),
            TinyDataset(),
        )
        for slope in (0.1, 0.8)
    ]
    _, packed = _trained(jobs)
    for index, job in enumerate(jobs):
        _, (alone,) = _trained([job])
        expected, got = alone[-1].evaluation, packed[index][-1].evaluation

        assert expected is not None
        assert got is not None
        assert got.val_loss == pytest.approx(expected.val_loss, rel=1e-10)


def test_train_yields_every_step() -> None:
    """The function runs what a trainer would."""
    steps = list(train(Pack([(tiny_spec(max_steps=2), TinyDataset())]), CPU))

    assert [job_step.record.step for (job_step,) in steps] == [1, 2]


def test_parameters_are_copies() -> None:
    """Each tensor owns its memory, as a file of tensors needs, and is not the trainer's."""
    trainer = Trainer(Pack([(tiny_spec(), TinyDataset())]), CPU)
    first = trainer.parameters(0)
    first["readout.bias"].fill_(7)

    assert 7 not in trainer.parameters(0)["readout.bias"]
    assert len({tensor.untyped_storage().data_ptr() for tensor in first.values()}) == len(first)
