"""Dropout between layers: its masks, and what a network makes of them.

Shapes: K jobs of a pack, T time steps, B sequences, D outputs of a layer, O outputs.
"""

import pytest
import torch
from torch import Tensor, nn

from contract.spec import JobSpec
from tests.worker.training.networks import CPU, HIDDEN, draw_network, pack_of, spec_of
from worker.training.dropout import dropout_masks
from worker.training.lesson import Exercise, Teacher
from worker.training.loop import Trainer
from worker.training.model import stack_batches


def masks_of(*specs: JobSpec, step: int = 1, time_steps: int = 6) -> list[Tensor]:
    """In float64 on the CPU."""
    return dropout_masks(specs, step, time_steps, CPU, torch.float64)


def test_masks_zero_a_share_and_scale_the_rest() -> None:
    """With p = 0.25 a quarter is 0 and the rest 4/3, so that the mean stays 1."""
    spec = spec_of("gru", num_layers=2, dropout=0.25)
    (mask_KTBD,) = masks_of(spec, time_steps=2_000)

    assert mask_KTBD.shape == (1, 2_000, 5, HIDDEN)
    assert set(mask_KTBD.flatten().tolist()) == {0.0, 1 / 0.75}
    assert mask_KTBD.mean().item() == pytest.approx(1, abs=0.01)


def test_every_layer_but_the_top_one_has_a_mask_of_its_own() -> None:
    """Three layers have two masks, which differ, and so do two time steps and two sequences."""
    first, second = masks_of(spec_of("rnn", num_layers=3, dropout=0.5))

    assert not torch.equal(first, second)
    assert not torch.equal(first[:, 0], first[:, 1])
    assert not torch.equal(first[:, :, 0], first[:, :, 1])


def test_mask_is_as_wide_as_both_directions() -> None:
    """What a bidirectional layer hands on is dropped from either direction."""
    (mask_KTBD,) = masks_of(spec_of("rnn", num_layers=2, dropout=0.5, bidirectional=True))

    assert mask_KTBD.shape[3] == 2 * HIDDEN


def test_without_dropout_there_are_no_masks() -> None:
    """Nothing is drawn and nothing multiplied where p is 0."""
    assert masks_of(spec_of("rnn", num_layers=3)) == []


def test_masks_depend_on_seed_and_step_alone() -> None:
    """A job has the same masks in any pack; another step or seed has others."""
    one, other = (spec_of("rnn", seed, num_layers=2, dropout=0.5) for seed in (1, 2))
    (alone,) = masks_of(other, step=7)

    assert torch.equal(masks_of(one, other, step=7)[0][1:], alone)
    assert not torch.equal(masks_of(other, step=8)[0], alone)
    assert not torch.equal(masks_of(one, step=7)[0], alone)


@pytest.mark.parametrize("is_bidirectional", [False, True])
def test_network_with_masks_equals_torch(*, is_bidirectional: bool) -> None:
    """Loss and all gradients are those of torch's layers with the same masks between them."""
    spec = spec_of("lstm", num_layers=3, dropout=0.4, bidirectional=is_bidirectional)
    masks = masks_of(spec)
    network = draw_network(spec, target_steps=3).with_masks(masks)
    lesson, gradients_KP = network.learn()
    named = network.teacher.layout.named(network.parameters_KP[0])
    leaves = {name: value.clone().requires_grad_() for name, value in named.items()}
    below_TBI = network.exercise.x_KTBI[0]
    for layer, mask_KTBD in enumerate([*masks, torch.ones(1)]):
        module = nn.LSTM(
            below_TBI.shape[2], HIDDEN, bidirectional=is_bidirectional, dtype=torch.float64
        )
        own = {
            name: leaves[f"rnn.{name.replace('_l0', f'_l{layer}')}"]
            for name, _ in module.named_parameters()
        }
        below_TBI, _ = torch.func.functional_call(module, own, (below_TBI,))
        below_TBI = below_TBI * mask_KTBD[0]
    prediction_SBO = below_TBI[-3:] @ leaves["readout.weight"].T + leaves["readout.bias"]
    loss = (prediction_SBO - network.exercise.target[0]).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]

    expected = {name: leaf.grad for name, leaf in leaves.items()}
    torch.testing.assert_close(lesson.loss_K[0], loss.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(network.teacher.layout.named(gradients_KP[0]), expected)


def test_trainer_drops_by_the_masks_of_its_step() -> None:
    """The third loss is that of the parameters after two steps under the third step's masks."""
    spec = spec_of("gru", num_layers=2, dropout=0.5)
    pack = pack_of(spec)
    trainer = Trainer(pack, CPU, torch.float64)
    steps = trainer.steps()
    next(steps)
    next(steps)
    parameters_1P = torch.cat([value.flatten() for value in trainer.parameters(0).values()])[None]
    batch = stack_batches([pack.datasets[0].batch(3, 5)], CPU, torch.float64)
    teacher = Teacher(pack.model(CPU, torch.float64), pack.layout)
    exercise = Exercise(*batch, masks_of(spec, step=3))
    parameters = pack.layout.views(parameters_1P)
    gradients = pack.layout.buffer(torch.empty_like(parameters_1P))
    lesson = teacher.learn(exercise, parameters, gradients)
    (third,) = next(steps)

    assert third.record.loss == pytest.approx(lesson.loss_K.item(), rel=1e-12)


def test_nothing_is_dropped_in_an_evaluation() -> None:
    """On held-out data the same parameters give the same loss whatever p is."""
    judged = []
    for dropout in (0.0, 0.5):
        pack = pack_of(spec_of("gru", num_layers=2, dropout=dropout))
        parameters = pack.layout.views(pack.initial_parameters(torch.float64))
        judged.append(
            pack.model(CPU, torch.float64).evaluate(parameters, pack.datasets[0].validation())
        )

    assert judged[0] == judged[1]


def test_packed_jobs_with_dropout_run_as_alone() -> None:
    """Two jobs of different seeds have, after every step, the losses they have by themselves."""
    specs = [spec_of("gru", seed, num_layers=2, dropout=0.3) for seed in (1, 2)]
    together = [
        [step.record.loss for step in steps]
        for steps in Trainer(pack_of(*specs), CPU, torch.float64).steps()
    ]
    for index, spec in enumerate(specs):
        alone = [step.record.loss for (step,) in Trainer(pack_of(spec), CPU, torch.float64).steps()]

        assert [losses[index] for losses in together] == pytest.approx(alone, rel=1e-12)
