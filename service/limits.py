"""Limits on what a spec may ask for, each named by its setting."""

from contract.errors import LimitError
from contract.parameter_shapes import count_parameters, layer_output_size
from contract.settings import Settings
from contract.spec import (
    CopyMemory,
    Dataset,
    JobSpec,
    SequentialDigits,
    SubjectRecall,
    Upload,
)

# The subject, the sentence around it and the question; the vocabulary is below this, too.
_SENTENCE_STEPS = 20
_WIDEST_GENERATED_INPUT = 80
_PIXELS_OF_A_DIGIT = 64


def check_limits(spec: JobSpec, settings: Settings) -> None:
    """Refuse a spec that would not fit.

    Raises:
        LimitError: naming the setting.
    """
    # With the widest input that the dataset may have.
    parameters = count_parameters(spec, _input_size(spec.dataset), _output_size(spec.dataset))
    if parameters > settings.max_parameters:
        raise LimitError(
            f"the network would have {parameters:,} parameters; at most "
            f"{settings.max_parameters:,} are allowed (max_parameters)"
        )
    floats = _count_state_floats(spec)
    if floats > settings.max_state_floats:
        raise LimitError(
            f"one batch would have {floats:,} state values (batch_size * seq_len * hidden_size * "
            "num_layers, twice that if bidirectional); at most "
            f"{settings.max_state_floats:,} are allowed (max_state_floats)"
        )


def _count_state_floats(spec: JobSpec) -> int:
    layers = layer_output_size(spec.cell) * spec.cell.num_layers
    return spec.training.batch_size * _seq_len(spec.dataset) * layers


def _seq_len(dataset: Dataset) -> int:
    match dataset:
        case SubjectRecall():
            return dataset.gap + _SENTENCE_STEPS
        case CopyMemory():
            return dataset.lag + 2 * dataset.num_values
        case SequentialDigits():
            return _PIXELS_OF_A_DIGIT
        case Upload():
            return dataset.task.seq_len
        case _:
            return dataset.seq_len


def _input_size(dataset: Dataset) -> int:
    return len(dataset.task.inputs) if isinstance(dataset, Upload) else _WIDEST_GENERATED_INPUT


def _output_size(dataset: Dataset) -> int:
    return dataset.task.horizon if isinstance(dataset, Upload) else _WIDEST_GENERATED_INPUT
