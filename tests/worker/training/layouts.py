"""Layouts of small networks."""

from contract.spec import JobSpec
from worker.training.parameters import ParameterLayout


def layout_of(
    kind: str, *, inputs: int = 1, hidden_size: int = 2, num_layers: int = 1, outputs: int = 1
) -> ParameterLayout:
    """The layout of a network of a kind of cell and the sizes given."""
    cell = {"kind": kind, "hidden_size": hidden_size, "num_layers": num_layers}
    spec = JobSpec.model_validate({"dataset": {"kind": "adding"}, "cell": cell})
    return ParameterLayout(spec, inputs, outputs)
