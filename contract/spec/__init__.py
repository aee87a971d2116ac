"""Everything that can be asked for: the job spec and its parts."""

from contract.spec.cell import Cell, Gru, Lstm, Rnn
from contract.spec.dataset import (
    Adding,
    CopyMemory,
    Dataset,
    DelayedRecall,
    Forecast,
    MackeyGlass,
    SequentialDigits,
    SubjectRecall,
    TemporalOrder,
    Upload,
)
from contract.spec.job_spec import JobSpec
from contract.spec.remedy import (
    Activation,
    Chrono,
    Clipping,
    Constant,
    Cosine,
    DefaultInit,
    Exponential,
    ForgetBias,
    Identity,
    Init,
    Kaiming,
    LeakyRelu,
    LrControl,
    NormClipping,
    Orthogonal,
    Plateau,
    Relu,
    Remedy,
    Step,
    Tanh,
    ValueClipping,
    XavierNormal,
    XavierUniform,
)
from contract.spec.sequence_length import sequence_length
from contract.spec.skip import DilatedSkip, LearnedSkip, ResidualSkip, Skip, longest_skip
from contract.spec.training import (
    Adam,
    AdamW,
    Diagnostics,
    Optimizer,
    RmsProp,
    Run,
    Sgd,
    Target,
    Training,
)

__all__ = [
    "Activation", "Adam", "AdamW", "Adding", "Cell", "Chrono", "Clipping", "Constant", "CopyMemory",
    "Cosine", "Dataset", "DefaultInit", "DelayedRecall", "Diagnostics", "DilatedSkip",
    "Exponential", "Forecast", "ForgetBias", "Gru", "Identity", "Init", "JobSpec", "Kaiming",
    "LeakyRelu", "LearnedSkip", "LrControl", "Lstm", "MackeyGlass", "NormClipping", "Optimizer",
    "Orthogonal", "Plateau", "Relu", "Remedy", "ResidualSkip", "RmsProp", "Rnn", "Run",
    "SequentialDigits", "Sgd", "Skip", "Step", "SubjectRecall", "Tanh", "Target", "TemporalOrder",
    "Training", "Upload", "ValueClipping", "XavierNormal", "XavierUniform", "longest_skip",
    "sequence_length",
]  # fmt: skip
