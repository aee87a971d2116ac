import traceback
from typing import Any

import pytest
import torch

from contract.spec import JobSpec
from worker.datasets.adding import make_adding
from worker.training.job_run import JobRun
from worker.training.loop import Trainer
from worker.training.pack import Pack

CELLS: list[tuple[str, dict[str, Any]]] = [
    ("rnn", {}),
    ("rnn", {"activation": {"kind": "leaky_relu"}, "clipping": {"kind": "norm"}}),
    ("gru", {"clipping": {"kind": "value"}}),
    ("lstm", {"init": {"kind": "chrono", "max_lag": 9}}),
]


def trainer_on_meta(cell: str, remedy: dict[str, Any], optimizer: str) -> Trainer:
    """A trainer on torch's meta device: it has shapes and devices, but no data to copy out."""
    spec = JobSpec.model_validate(
        {
            "dataset": {"kind": "adding", "seq_len": 6},
            "cell": {"kind": cell, "hidden_size": 5, "num_layers": 2},
            "remedy": remedy,
            "training": {"batch_size": 3, "optimizer": {"kind": optimizer}},
        }
    )
    assert spec.dataset.kind == "adding"
    dataset = make_adding(spec.dataset, seed=0)
    return Trainer(Pack([(spec, dataset), (spec, dataset)]), torch.device("meta"))


def place_of_first_copy(trainer: Trainer) -> str:
    """The function of ours in which data first leaves the device."""
    with pytest.raises(NotImplementedError, match="meta tensor") as caught:
        next(trainer.steps())
    frames = traceback.extract_tb(caught.tb)
    return [frame.name for frame in frames if "/worker/training/" in frame.filename][-1]


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw"])
@pytest.mark.parametrize(("cell", "remedy"), CELLS)
def test_step_stays_on_its_device_until_its_end(
    cell: str, remedy: dict[str, Any], optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step mixes no devices and copies nothing to the host before its one moment of waiting."""
    monkeypatch.setattr(JobRun, "is_flow_step", lambda *_: False)

    assert place_of_first_copy(trainer_on_meta(cell, remedy, optimizer)) == "_update"


@pytest.mark.parametrize(("cell", "remedy"), CELLS)
def test_flow_is_measured_on_the_device(cell: str, remedy: dict[str, Any]) -> None:
    """At a flow step the norms are made on the device, and only they are copied."""
    assert place_of_first_copy(trainer_on_meta(cell, remedy, "adam")) == "measure_flow"
