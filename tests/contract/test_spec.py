import json
from typing import Any

import pytest
from pydantic import ValidationError

from contract.spec import JobSpec

SHORT: dict[str, Any] = {"dataset": {"kind": "adding"}, "cell": {"kind": "rnn"}}


def test_short_spec_is_filled_in() -> None:
    """A spec with only dataset and cell answers with every default filled in."""
    stored = JobSpec.model_validate(SHORT).model_dump(mode="json")

    assert stored["dataset"]["seq_len"] == 100
    assert stored["training"]["optimizer"]["kind"] == "adam"
    assert stored["remedy"]["clipping"] is None


def test_whole_number_may_have_a_zero_fraction() -> None:
    """JSON does not tell 64.0 from 64, so both are the integer; 64.5 is none."""
    cell = {"kind": "rnn", "hidden_size": 32.0}

    assert JobSpec.model_validate(SHORT | {"cell": cell}).cell.hidden_size == 32
    with pytest.raises(ValidationError):
        JobSpec.model_validate(SHORT | {"cell": cell | {"hidden_size": 32.5}})


def test_stored_spec_reads_back_equal() -> None:
    """A stored spec is a spec, and the same one."""
    spec = JobSpec.model_validate(SHORT)

    assert JobSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_example_of_the_contract_is_accepted() -> None:
    """The published example, skip null and all, is a valid spec."""
    example = {
        "name": "adding, 100 steps, clipped",
        "tags": ["demo"],
        "dataset": {"kind": "adding", "seq_len": 100},
        "cell": {"kind": "rnn", "hidden_size": 128, "num_layers": 1},
        "remedy": {
            "activation": {"kind": "relu"},
            "init": {"kind": "identity", "scale": 1.0},
            "skip": None,
            "clipping": {"kind": "norm", "max_norm": 1.0},
            "lr_control": {"kind": "plateau", "factor": 0.5, "patience": 5},
        },
        "training": {
            "optimizer": {"kind": "adam", "lr": 0.001},
            "batch_size": 64,
            "max_steps": 2000,
            "eval_every": 100,
            "seed": 0,
            "stop": {"kind": "target", "series": "val_loss", "below": 0.01},
        },
        "diagnostics": {"flow_every": 20},
        "run": {"device": "auto", "priority": 5, "max_seconds": 3600},
    }

    assert JobSpec.model_validate(example).model_dump(mode="json", exclude_unset=True) == example


@pytest.mark.parametrize(
    ("patch", "location"),
    [
        ({"colour": "red"}, ("colour",)),
        ({"cell": {"kind": "rnn", "hidden_size": 0}}, ("cell", "rnn", "hidden_size")),
        ({"cell": {"kind": "rnn", "hidden_size": "64"}}, ("cell", "rnn", "hidden_size")),
        ({"cell": {"kind": "rnn", "hidden_size": True}}, ("cell", "rnn", "hidden_size")),
        ({"cell": {"kind": "transformer"}}, ("cell",)),
        ({"cell": {}}, ("cell",)),
        ({"training": {"optimizer": {"kind": "adam", "lr": float("nan")}}},
         ("training", "optimizer", "adam", "lr")),
        ({"training": {"optimizer": {"kind": "sgd", "lr": float("inf")}}},
         ("training", "optimizer", "sgd", "lr")),
        ({"training": {"seed": -1}}, ("training", "seed")),
        ({"remedy": {"skip": {"kind": "residual", "lag": 1}}},
         ("remedy", "skip", "residual", "lag")),
        ({"dataset": {"kind": "upload", "dataset_id": "../../etc", "task": {"kind": "forecast",
          "target": "x", "inputs": ["x"], "seq_len": 5}}}, ("dataset", "upload", "dataset_id")),
    ],
)  # fmt: skip
def test_bad_field_is_named(patch: dict[str, Any], location: tuple[str, ...]) -> None:
    """A wrong, unknown, non-finite or out-of-range field is refused by its place."""
    with pytest.raises(ValidationError) as caught:
        JobSpec.model_validate(SHORT | patch)

    assert [error["loc"] for error in caught.value.errors()] == [location]


@pytest.mark.parametrize(
    ("cell", "remedy", "pointer"),
    [
        ("lstm", {"activation": {"kind": "relu"}}, "/remedy/activation"),
        ("gru", {"init": {"kind": "identity"}}, "/remedy/init"),
        ("rnn", {"init": {"kind": "chrono", "max_lag": 10}}, "/remedy/init"),
        ("gru", {"init": {"kind": "forget_bias"}}, "/remedy/init"),
    ],
)
def test_impossible_combination_is_named(cell: str, remedy: dict[str, Any], pointer: str) -> None:
    """A remedy that the cell cannot have is refused with the pointer to the remedy."""
    with pytest.raises(ValidationError) as caught:
        JobSpec.model_validate(
            {"dataset": {"kind": "adding"}, "cell": {"kind": cell}, "remedy": remedy}
        )

    (error,) = caught.value.errors()
    assert error["ctx"]["pointer"] == pointer


def test_spec_cannot_be_changed() -> None:
    """A spec is frozen."""
    spec = JobSpec.model_validate(SHORT)

    with pytest.raises(ValidationError):
        spec.name = "other"  # type: ignore[misc]


def test_no_discriminated_union_has_a_default_in_the_schema() -> None:
    """Client generators choke on a default of a union, so the schema states none."""
    schema = json.dumps(JobSpec.model_json_schema())
    properties = [
        field
        for model in json.loads(schema)["$defs"].values()
        for field in model.get("properties", {}).values()
    ]

    assert not [field for field in properties if "discriminator" in field and "default" in field]


def test_every_field_is_documented() -> None:
    """Every field of every part of a spec says what it is; `kind` is said by its model."""
    models = JobSpec.model_json_schema()["$defs"]

    assert not [
        (model, name)
        for model, schema in models.items()
        for name, field in schema.get("properties", {}).items()
        if name != "kind" and "description" not in field
    ]
