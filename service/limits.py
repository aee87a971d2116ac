"""Limits on what a spec may ask for, each named by its setting."""

from dataclasses import dataclass

from contract.errors import LimitError
from contract.parameter_shapes import count_parameters, layer_output_size
from contract.settings import Settings
from contract.spec import (
    Classify,
    CopyMemory,
    Dataset,
    Forecast,
    JobSpec,
    NextToken,
    Upload,
    sequence_length,
)
from contract.spec.upload_task import MAX_CLASSES

_WIDEST_GENERATED = 80


def check_limits(spec: JobSpec, settings: Settings) -> None:
    """Refuse a spec that would not fit.

    Raises:
        LimitError: naming the setting.
    """
    sizes = _sizes_of(spec.dataset)
    parameters = count_parameters(spec, sizes.inputs, sizes.outputs)
    if parameters > settings.max_parameters:
        raise LimitError(
            f"the network would have {parameters:,} parameters; at most "
            f"{settings.max_parameters:,} are allowed (max_parameters)"
        )
    floats = _count_state_floats(spec)
    if floats > settings.max_state_floats:
        raise LimitError(
            f"one batch would have {floats:,} state values (batch_size * seq_len * (hidden_size * "
            "num_layers + what is answered at every step)); at most "
            f"{settings.max_state_floats:,} are allowed (max_state_floats)"
        )


def _count_state_floats(spec: JobSpec) -> int:
    width = layer_output_size(spec.cell) * spec.cell.num_layers
    width += _sizes_of(spec.dataset).outputs_of_every_step
    return spec.training.batch_size * sequence_length(spec.dataset) * width


@dataclass(frozen=True)
class _Sizes:
    """The widest that a dataset's inputs and answers may turn out to be."""

    inputs: int = _WIDEST_GENERATED
    outputs: int = _WIDEST_GENERATED
    outputs_of_every_step: int = 0
    """0 if an answer is due after the last step only."""


def _sizes_of(dataset: Dataset) -> _Sizes:
    match dataset:
        case CopyMemory(num_symbols=num_symbols):
            return _Sizes(outputs_of_every_step=num_symbols + 1)
        case Upload(task=Forecast() as task):
            return _Sizes(len(task.inputs), task.horizon)
        case Upload(task=Classify() as task):
            return _Sizes(len(task.inputs), MAX_CLASSES)
        case Upload(task=NextToken()):
            # One more for the characters that are not told apart.
            tokens = MAX_CLASSES + 1
            return _Sizes(tokens, tokens, outputs_of_every_step=tokens)
        case _:
            return _Sizes()
