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
    SequentialDigits,
    SubjectRecall,
    Upload,
    UploadTask,
)
from contract.spec.upload_task import MAX_CLASSES

# The subject, the sentence around it and the question; the vocabulary is below this, too.
_SENTENCE_STEPS = 20
_WIDEST_GENERATED = 80
_PIXELS = 64


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
    sizes = _sizes_of(spec.dataset)
    width = layer_output_size(spec.cell) * spec.cell.num_layers + sizes.outputs_of_every_step
    return spec.training.batch_size * sizes.seq_len * width


@dataclass(frozen=True)
class _Sizes:
    """The largest sizes that a dataset's sequences may turn out to have."""

    seq_len: int
    inputs: int = _WIDEST_GENERATED
    outputs: int = _WIDEST_GENERATED
    outputs_of_every_step: int = 0
    """0 if an answer is due after the last step only."""


def _sizes_of(dataset: Dataset) -> _Sizes:
    match dataset:
        case SubjectRecall():
            return _Sizes(dataset.gap + _SENTENCE_STEPS)
        case CopyMemory():
            seq_len = dataset.lag + 2 * dataset.num_values
            return _Sizes(seq_len, outputs_of_every_step=dataset.num_symbols + 1)
        case SequentialDigits():
            return _Sizes(_PIXELS)
        case Upload():
            return _sizes_of_upload(dataset.task)
        case _:
            return _Sizes(dataset.seq_len)


def _sizes_of_upload(task: UploadTask) -> _Sizes:
    match task:
        case Forecast():
            return _Sizes(task.seq_len, len(task.inputs), task.horizon)
        case Classify():
            return _Sizes(task.max_seq_len, len(task.inputs), MAX_CLASSES)
        case NextToken():
            # One more for the characters that are not told apart.
            tokens = MAX_CLASSES + 1
            return _Sizes(task.seq_len, tokens, tokens, outputs_of_every_step=tokens)
