"""Where the numbers of scanned cells, of both directions and of dropout are computed."""

import traceback

import pytest
import torch

from tests.worker.training.networks import pack_of, spec_of
from worker.training.loop import Trainer


@pytest.mark.parametrize("is_bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["min_gru", "min_lstm", "lru"])
def test_step_stays_on_its_device_until_its_norms_are_copied(
    kind: str, *, is_bidirectional: bool
) -> None:
    """On torch's meta device, which has no data to copy out, a step gets as far as its flow."""
    spec = spec_of(kind, num_layers=2, dropout=0.2, bidirectional=is_bidirectional)
    trainer = Trainer(pack_of(spec, spec), torch.device("meta"))

    # What torch itself raises where data are to leave its meta device, which has none.
    with pytest.raises(NotImplementedError, match="meta tensor") as caught:
        next(trainer.steps())

    frames = traceback.extract_tb(caught.tb)
    ours = [frame.name for frame in frames if "/worker/" in frame.filename]
    assert ours[-1] == "_on_host"
