"""The loop: what a step does, when it evaluates, when it refuses, and when a job ends."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.worker.training.tiny_tasks import TinyDataset, tiny_spec
from tests.worker.training.trained import CPU, bits, flat, trained
from worker.datasets.task import Batch
from worker.training.job_run import MAX_REFUSALS
from worker.training.loop import Trainer, train
from worker.training.model import stack_batches
from worker.training.pack import Pack
from worker.training.records import EndReason


def test_same_spec_twice_gives_the_same_bits() -> None:
    """Two runs of one spec agree in every number."""
    first, first_steps = trained([(tiny_spec(), TinyDataset())], torch.float32)
    second, second_steps = trained([(tiny_spec(), TinyDataset())], torch.float32)

    assert torch.equal(flat(first, 0), flat(second, 0))
    assert bits(first_steps[0]) == bits(second_steps[0])


def test_training_equals_torch_step_by_step() -> None:
    """Ten steps of autograd, clip_grad_norm_ and Adam give the same losses, norms and weights."""
    spec = tiny_spec("lstm", seed=5, remedy={"clipping": {"kind": "norm", "max_norm": 0.2}})
    start = Trainer(Pack([(spec, TinyDataset(5))]), CPU, torch.float64).parameters(0)
    module = nn.ModuleDict({"rnn": nn.LSTM(2, 5, 2), "readout": nn.Linear(5, 2)}).double()
    module.load_state_dict(start)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    trainer, (steps,) = trained([(spec, TinyDataset(5))])
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
    torch.testing.assert_close(flat(trainer, 0), expected, rtol=1e-9, atol=1e-12)


def test_record_tells_the_norms_of_weights_and_update() -> None:
    """With plain SGD the update is lr times the gradient, and its ratio is told."""
    spec = tiny_spec(optimizer={"kind": "sgd", "lr": 0.5}, max_steps=1)
    trainer = Trainer(Pack([(spec, TinyDataset())]), CPU, torch.float64)
    before = float(flat(trainer, 0).norm())
    ((step,),) = trainer.steps()
    record = step.record

    assert record.lr == 0.5
    assert record.update_ratio == pytest.approx(0.5 * record.grad_norm / before, rel=1e-10)
    assert record.param_norm == pytest.approx(float(flat(trainer, 0).norm()), rel=1e-12)


def test_refused_updates_change_nothing_and_end_the_job() -> None:
    """From the first infinite batch on the weights stay; the fifth refusal in a row is the end."""
    job = (tiny_spec(max_steps=50), TinyDataset(poisoned_from=3))
    trainer = Trainer(Pack([job]), CPU)
    steps = trainer.steps()
    next(steps)
    next(steps)
    kept_P = flat(trainer, 0)
    refused = [step for (step,) in steps]

    assert len(refused) == MAX_REFUSALS
    assert not any(math.isfinite(step.record.loss) for step in refused)
    assert torch.equal(flat(trainer, 0), kept_P)
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
    _, (steps,) = trained([(tiny_spec(max_steps=12), _Hiccup())])

    assert len(steps) == 12
    assert steps[-1].end is not None
    assert steps[-1].end.reason is EndReason.MAX_STEPS


@pytest.mark.parametrize(("max_steps", "expected"), [(10, [4, 8, 10]), (8, [4, 8]), (3, [3])])
def test_evaluates_on_time_and_at_the_end(max_steps: int, expected: list[int]) -> None:
    """Every `eval_every` steps and once more at the last one, which alone has the end."""
    _, (steps,) = trained([(tiny_spec(max_steps=max_steps, eval_every=4), TinyDataset())])

    assert [step.evaluation.step for step in steps if step.evaluation] == expected
    assert [step.record.step for step in steps if step.end] == [max_steps]


def test_flow_is_recorded_at_the_first_step_and_on_time() -> None:
    """Step 1 and every `flow_every`-th, here 4."""
    _, (steps,) = trained([(tiny_spec(), TinyDataset())])

    assert [step.flow.step for step in steps if step.flow] == [1, 4, 8]


def test_ends_at_the_target() -> None:
    """The first evaluation below the target ends the job, not a step before."""
    spec = tiny_spec(eval_every=3, stop={"kind": "target", "below": 1e9})
    _, (steps,) = trained([(spec, TinyDataset())])

    assert len(steps) == 3
    assert steps[-1].end is not None
    assert steps[-1].end.reason is EndReason.TARGET


def test_forecast_is_told_in_the_datas_units() -> None:
    """With a unit scale the metric and the final loss are the loss times it."""
    _, (steps,) = trained([(tiny_spec(max_steps=1), TinyDataset(unit_scale=4.0))])
    _, (plain,) = trained([(tiny_spec(max_steps=1), TinyDataset())])

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
    _, (steps,) = trained([(spec, TinyDataset(loss="cross_entropy"))], torch.float32)

    assert steps[-1].evaluation is not None
    assert steps[-1].evaluation.val_metric is not None
    assert steps[-1].evaluation.val_metric > 0.8


def test_plateau_control_hears_of_evaluations() -> None:
    """With no patience and nothing counting as improvement, lr is cut after each evaluation."""
    control = {"kind": "plateau", "factor": 0.5, "patience": 0, "threshold": 0.999}
    spec = tiny_spec(remedy={"lr_control": control}, eval_every=2, max_steps=6)
    _, (steps,) = trained([(spec, TinyDataset())])

    assert [step.record.lr for step in steps] == pytest.approx([1e-3] * 4 + [5e-4] * 2)


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
