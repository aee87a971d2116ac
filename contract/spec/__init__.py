"""Everything that can be asked for: the job spec and its parts."""

from contract.spec.cell import Cell, Gru, Lru, Lstm, MinGru, MinLstm, Rnn
from contract.spec.clipping import (
    Clipping,
    NormClipping,
    PercentileClipping,
    UnitClipping,
    ValueClipping,
    ZScoreClipping,
)
from contract.spec.dataset import (
    Adding,
    CopyMemory,
    Dataset,
    DelayedRecall,
    MackeyGlass,
    SequentialDigits,
    SubjectRecall,
    TemporalOrder,
    Upload,
)
from contract.spec.job_spec import JobSpec
from contract.spec.lr_control import (
    Constant,
    Cosine,
    Exponential,
    Guarded,
    LrControl,
    OneCycle,
    Plateau,
    RangeTest,
    Step,
)
from contract.spec.remedy import (
    Activation,
    Chrono,
    DefaultInit,
    ForgetBias,
    Identity,
    Init,
    Kaiming,
    LeakyRelu,
    ModRelu,
    Orthogonal,
    Relu,
    Remedy,
    Tanh,
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
from contract.spec.upload_task import Classify, Forecast, NextToken, UploadTask

__all__ = [
    "Activation", "Adam", "AdamW", "Adding", "Cell", "Chrono", "Classify", "Clipping", "Constant",
    "CopyMemory", "Cosine", "Dataset", "DefaultInit", "DelayedRecall", "Diagnostics",
    "DilatedSkip", "Exponential", "Forecast", "ForgetBias", "Gru", "Guarded", "Identity", "Init",
    "JobSpec", "Kaiming", "LeakyRelu", "LearnedSkip", "LrControl", "Lru", "Lstm", "MackeyGlass",
    "MinGru", "MinLstm", "ModRelu", "NextToken", "NormClipping", "OneCycle", "Optimizer",
    "Orthogonal", "PercentileClipping", "Plateau", "RangeTest", "Relu", "Remedy", "ResidualSkip",
    "RmsProp", "Rnn", "Run", "SequentialDigits", "Sgd", "Skip", "Step", "SubjectRecall", "Tanh",
    "Target", "TemporalOrder", "Training", "UnitClipping", "Upload", "UploadTask",
    "ValueClipping", "XavierNormal", "XavierUniform", "ZScoreClipping",
    "longest_skip", "sequence_length",
]  # fmt: skip
