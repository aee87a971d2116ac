"""Which skips over time can be asked for, of which cells and sequences."""

from typing import Any

import pytest
from pydantic import ValidationError

from contract.spec import JobSpec, longest_skip


def spec_with(
    skip: dict[str, Any] | None, num_layers: int = 3, dataset: dict[str, Any] | None = None
) -> JobSpec:
    """A spec with a skip, on sequences of 20 steps unless a dataset is given."""
    return JobSpec.model_validate(
        {
            "dataset": dataset or {"kind": "delayed_recall", "seq_len": 20},
            "cell": {"kind": "rnn", "num_layers": num_layers},
            "remedy": {"skip": skip},
        }
    )


def pointer_of(refusal: pytest.ExceptionInfo[ValidationError]) -> str:
    """What the refusal asks to be changed."""
    (error,) = refusal.value.errors()
    pointer: str = error["ctx"]["pointer"]
    return pointer


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("kind", ["learned", "residual", "dilated"])
def test_every_skip_fits_every_recurrent_cell(cell: str, kind: str) -> None:
    """The defaults of each kind are accepted with two layers and a usual length."""
    document = {
        "dataset": {"kind": "adding"},
        "cell": {"kind": cell, "num_layers": 2},
        "remedy": {"skip": {"kind": kind}},
    }

    skip = JobSpec.model_validate(document).remedy.skip
    assert skip is not None
    assert skip.kind == kind


@pytest.mark.parametrize(
    ("skip", "expected"),
    [
        (None, 1),
        ({"kind": "learned"}, 1),
        ({"kind": "residual", "lag": 7}, 7),
        ({"kind": "dilated", "base": 3}, 9),
    ],
)
def test_longest_skip_is_the_lag_or_the_top_dilation(
    skip: dict[str, Any] | None, expected: int
) -> None:
    """With three layers a base of 3 gives dilations 1, 3 and 9."""
    spec = spec_with(skip)

    assert longest_skip(spec.remedy.skip, spec.cell.num_layers) == expected


@pytest.mark.parametrize(
    ("skip", "num_layers"),
    [({"kind": "residual", "lag": 20}, 1), ({"kind": "dilated", "base": 20}, 2)],
)
def test_skip_as_long_as_the_sequence_is_refused(skip: dict[str, Any], num_layers: int) -> None:
    """It would pass by the whole sequence; one step less is accepted."""
    with pytest.raises(ValidationError, match="longer") as refusal:
        spec_with(skip, num_layers)

    assert pointer_of(refusal) == "/remedy/skip"
    shorter = {name: value - 1 if value == 20 else value for name, value in skip.items()}
    assert spec_with(shorter, num_layers).remedy.skip is not None


def test_single_layer_cannot_be_dilated() -> None:
    """The first layer's dilation is 1, so a single layer would be a plain one."""
    with pytest.raises(ValidationError, match="2 layers") as refusal:
        spec_with({"kind": "dilated"}, num_layers=1)

    assert pointer_of(refusal) == "/cell/num_layers"


@pytest.mark.parametrize(
    ("dataset", "steps"),
    [
        ({"kind": "subject_recall", "gap": 3}, 12),
        ({"kind": "copy_memory", "lag": 5, "num_values": 4}, 13),
        ({"kind": "sequential_digits"}, 64),
        ({"kind": "mackey_glass", "seq_len": 30}, 30),
    ],
)
def test_length_of_every_dataset_is_known(dataset: dict[str, Any], steps: int) -> None:
    """The longest lag that is accepted is one step below the length of the sequences."""
    assert spec_with({"kind": "residual", "lag": steps - 1}, dataset=dataset).remedy.skip
    with pytest.raises(ValidationError, match=f"not of {steps}"):
        spec_with({"kind": "residual", "lag": steps}, dataset=dataset)
