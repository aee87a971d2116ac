"""The layout of the flat buffer."""

import torch
from torch import nn

from contract.spec import JobSpec
from worker.training.parameters import ParameterLayout


def _layout(kind: str, *, inputs: int, hidden: int, layers: int, outputs: int) -> ParameterLayout:
    cell = {"kind": kind, "hidden_size": hidden, "num_layers": layers}
    spec = JobSpec.model_validate({"dataset": {"kind": "adding"}, "cell": cell})
    return ParameterLayout(spec, inputs, outputs)


def test_names_and_shapes_are_torchs() -> None:
    """The names and shapes are those of torch's module and fill the buffer without a gap."""
    layout = _layout("lstm", inputs=3, hidden=5, layers=2, outputs=4)
    module = nn.ModuleDict({"rnn": nn.LSTM(3, 5, 2), "readout": nn.Linear(5, 4)})
    expected = {name: tuple(tensor.shape) for name, tensor in module.named_parameters()}

    assert layout.shapes == expected
    assert layout.num_parameters == sum(tensor.numel() for tensor in module.parameters())


def test_views_share_the_buffer() -> None:
    """Writing to a view writes to the buffer, and every number belongs to one view."""
    layout = _layout("gru", inputs=2, hidden=3, layers=2, outputs=1)
    buffer_KP = torch.zeros(2, layout.num_parameters)
    network = layout.views(buffer_KP)
    for layer in network.layers:
        for tensor in layer.values():
            tensor.add_(1)
    network.weight.add_(1)
    network.bias.add_(1)

    assert torch.equal(buffer_KP, torch.ones_like(buffer_KP))


def test_one_jobs_row_has_views_without_pack_axis() -> None:
    """Views of a single row are that job's part of the views of all rows."""
    layout = _layout("rnn", inputs=2, hidden=3, layers=1, outputs=1)
    buffer_KP = torch.arange(2.0 * layout.num_parameters).view(2, -1)
    all_jobs, one_job = layout.views(buffer_KP), layout.views(buffer_KP[1])

    assert torch.equal(all_jobs.layers[0]["weight_hh"][1], one_job.layers[0]["weight_hh"])
    assert one_job.weight.shape == (1, 3)
