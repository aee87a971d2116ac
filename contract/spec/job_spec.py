"""A whole job spec: dataset, cell, remedy, and how to train."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from contract.spec.cell import Cell, Lru
from contract.spec.dataset import Dataset, Upload
from contract.spec.lr_control import RangeTest
from contract.spec.model import SpecModel, Text
from contract.spec.remedy import Remedy
from contract.spec.sequence_length import sequence_length
from contract.spec.skip import DilatedSkip, longest_skip
from contract.spec.training import Diagnostics, Run, Training
from contract.spec.upload_task import NextToken

# Inits that are defined for some cells only; every other init fits every cell.
_CELLS_OF_INIT = {
    "xavier_uniform": {"rnn", "gru", "lstm", "min_gru", "min_lstm"},
    "xavier_normal": {"rnn", "gru", "lstm", "min_gru", "min_lstm"},
    "kaiming": {"rnn", "gru", "lstm", "min_gru", "min_lstm"},
    "orthogonal": {"rnn", "gru", "lstm"},
    "identity": {"rnn"},
    "chrono": {"gru", "lstm"},
    "forget_bias": {"lstm"},
}

# Cells that hand on a state in which there is something to skip.
_CELLS_OF_SKIP = {"rnn", "gru", "lstm"}


def init_fits(init: str, cell: str) -> bool:
    """Whether an init of that kind is defined for a cell of that kind."""
    return cell in _CELLS_OF_INIT.get(init, {cell})


class JobSpec(SpecModel):
    """What to train: only `dataset` and `cell` are required, all else has a sensible default."""

    name: Annotated[Text, Field(max_length=200)] = ""
    """Shown to people; need not be unique."""
    tags: Annotated[
        tuple[Annotated[Text, Field(min_length=1, max_length=64)], ...], Field(max_length=32)
    ] = ()
    """Free words to find jobs by."""
    dataset: Dataset
    """The sequences."""
    cell: Cell
    """The recurrent network."""
    remedy: Remedy = Field(default_factory=Remedy)
    """What is done about the unstable gradient."""
    training: Training = Field(default_factory=Training)
    """Optimizer, budget and seed."""
    diagnostics: Diagnostics = Field(default_factory=Diagnostics)
    """What is measured beyond the curves."""
    run: Run = Field(default_factory=Run)
    """Device, priority and time limit."""

    @model_validator(mode="after")
    def _activation_needs_rnn(self) -> Self:
        if self.remedy.activation is not None and self.cell.kind != "rnn":
            _refuse("/remedy/activation", f"cell {self.cell.kind} has its own activations")
        return self

    @model_validator(mode="after")
    def _init_fits_cell(self) -> Self:
        init = self.remedy.init
        if init and not init_fits(init.kind, self.cell.kind):
            names = " or ".join(sorted(_CELLS_OF_INIT[init.kind]))
            _refuse("/remedy/init", f"init {init.kind} needs cell {names}, not {self.cell.kind}")
        return self

    @model_validator(mode="after")
    def _range_test_rises(self) -> Self:
        control = self.remedy.lr_control
        if isinstance(control, RangeTest) and control.start_lr >= control.end_lr:
            _refuse("/remedy/lr_control", "range_test needs a start_lr below its end_lr")
        return self

    @model_validator(mode="after")
    def _dropout_needs_two_layers(self) -> Self:
        if self.cell.dropout > 0 and self.cell.num_layers == 1:
            _refuse("/cell/dropout", "dropout acts between layers, and there is only one")
        return self

    @model_validator(mode="after")
    def _lru_starts_in_a_ring(self) -> Self:
        if isinstance(self.cell, Lru) and self.cell.r_min >= self.cell.r_max:
            _refuse("/cell/r_min", f"r_min must be below r_max, {self.cell.r_max}")
        return self

    @model_validator(mode="after")
    def _skip_fits(self) -> Self:
        skip = self.remedy.skip
        if skip and self.cell.kind not in _CELLS_OF_SKIP:
            _refuse("/remedy/skip", f"cell {self.cell.kind} has no skip connections over time")
        if isinstance(skip, DilatedSkip) and self.cell.num_layers == 1:
            _refuse("/cell/num_layers", "dilated skips need 2 layers or more: the first has none")
        passed_by = longest_skip(skip, self.cell.num_layers)
        if passed_by >= sequence_length(self.dataset):
            _refuse(
                "/remedy/skip",
                f"skips of {passed_by} time steps need sequences longer than that, not of "
                f"{sequence_length(self.dataset)}",
            )
        return self

    @model_validator(mode="after")
    def _next_token_is_not_shown(self) -> Self:
        asks_next = isinstance(self.dataset, Upload) and isinstance(self.dataset.task, NextToken)
        if self.cell.bidirectional and asks_next:
            reason = "a bidirectional network sees the token that it is to predict"
            _refuse("/cell/bidirectional", reason)
        return self


def _refuse(pointer: str, reason: str) -> None:
    """Refuse a combination, naming by JSON pointer the part that has to change."""
    raise PydanticCustomError(
        "impossible_combination", "{reason}", {"reason": reason, "pointer": pointer}
    )
