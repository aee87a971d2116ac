import traceback
from typing import Any

import pytest
import torch

from tests.worker.training.tiny_tasks import TinyDataset, tiny_spec
from worker.training.job_run import JobRun
from worker.training.loop import Trainer
from worker.training.pack import Pack

CELLS: list[tuple[str, dict[str, Any]]] = [
    ("rnn", {}),
    ("rnn", {"activation": {"kind": "leaky_relu"}, "clipping": {"kind": "norm"}}),
    ("rnn", {"activation": {"kind": "mod_relu"}}),
    ("gru", {"clipping": {"kind": "value"}}),
    ("lstm", {"init": {"kind": "chrono", "max_lag": 9}}),
]
DATASETS = [TinyDataset(), TinyDataset(loss="cross_entropy", target_steps=4)]


def trainer_on_meta(
    cell: str, remedy: dict[str, Any], dataset: TinyDataset, optimizer: str = "adam"
) -> Trainer:
    """A trainer on torch's meta device: it has shapes and devices, but no data to copy out."""
    spec = tiny_spec(cell, remedy=remedy, optimizer={"kind": optimizer})
    return Trainer(Pack([(spec, dataset), (spec, dataset)]), torch.device("meta"))


def place_of_first_copy(trainer: Trainer) -> str:
    """The function of ours in which data first leaves the device."""
    # What torch itself raises where data are to leave its meta device, which has none.
    with pytest.raises(NotImplementedError, match="meta tensor") as caught:
        next(trainer.steps())
    frames = traceback.extract_tb(caught.tb)
    return [frame.name for frame in frames if "/worker/training/" in frame.filename][-1]


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.loss)
@pytest.mark.parametrize(("cell", "remedy"), CELLS)
def test_step_stays_on_its_device_until_its_end(
    cell: str,
    remedy: dict[str, Any],
    dataset: TinyDataset,
    optimizer: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A step mixes no devices and copies nothing to the host before its one moment of waiting."""
    monkeypatch.setattr(JobRun, "is_flow_step", lambda *_: False)
    trainer = trainer_on_meta(cell, remedy, dataset, optimizer)

    assert place_of_first_copy(trainer) == "_rows"


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.loss)
@pytest.mark.parametrize(("cell", "remedy"), CELLS)
def test_flow_is_measured_on_the_device(
    cell: str, remedy: dict[str, Any], dataset: TinyDataset
) -> None:
    """At a flow step the norms are made on the device, and only they are copied."""
    assert place_of_first_copy(trainer_on_meta(cell, remedy, dataset)) == "_on_host"
