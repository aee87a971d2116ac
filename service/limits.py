"""Limits on what a spec may ask for, each named by its setting."""

from contract.errors import LimitError
from contract.settings import Settings
from contract.spec import Dataset, JobSpec, SubjectRecall, Upload

_GATES = {"rnn": 1, "gru": 3, "lstm": 4}
# The subject, the sentence around it and the question; the vocabulary is below this, too.
_SENTENCE_STEPS = 20
_WIDEST_GENERATED_INPUT = 80


def check_limits(spec: JobSpec, settings: Settings) -> None:
    """Refuse a spec that would not fit.

    Raises:
        LimitError: naming the setting.
    """
    parameters = count_parameters(spec)
    if parameters > settings.max_parameters:
        raise LimitError(
            f"the network would have {parameters:,} parameters; at most "
            f"{settings.max_parameters:,} are allowed (max_parameters)"
        )
    floats = _count_state_floats(spec)
    if floats > settings.max_state_floats:
        raise LimitError(
            f"one batch would have {floats:,} state values (batch_size * seq_len * hidden_size * "
            f"num_layers); at most {settings.max_state_floats:,} are allowed (max_state_floats)"
        )


def count_parameters(spec: JobSpec) -> int:
    """Parameters of the layers and the readout, with the widest input the dataset may have."""
    hidden, inputs = spec.cell.hidden_size, _input_size(spec.dataset)
    gates = _GATES[spec.cell.kind]
    first = gates * hidden * (inputs + hidden + 2)
    further = gates * hidden * (2 * hidden + 2) * (spec.cell.num_layers - 1)
    return first + further + (hidden + 1) * _output_size(spec.dataset)


def _count_state_floats(spec: JobSpec) -> int:
    layers = spec.cell.hidden_size * spec.cell.num_layers
    return spec.training.batch_size * _seq_len(spec.dataset) * layers


def _seq_len(dataset: Dataset) -> int:
    if isinstance(dataset, SubjectRecall):
        return dataset.gap + _SENTENCE_STEPS
    return dataset.task.seq_len if isinstance(dataset, Upload) else dataset.seq_len


def _input_size(dataset: Dataset) -> int:
    return len(dataset.task.inputs) if isinstance(dataset, Upload) else _WIDEST_GENERATED_INPUT


def _output_size(dataset: Dataset) -> int:
    return dataset.task.horizon if isinstance(dataset, Upload) else _WIDEST_GENERATED_INPUT
