from typing import Any

import pytest
from hypothesis import given

from contract.merge_patch import apply_merge_patch
from contract.pack_key import pack_key
from contract.spec import JobSpec
from tests.contract.drawn_specs import drawn_specs

FORECAST = {"kind": "forecast", "target": "y", "inputs": ["y"], "seq_len": 24}
UPLOAD = {"kind": "upload", "dataset_id": "ds_" + 26 * "0", "task": FORECAST}
PLAIN: dict[str, Any] = {
    "dataset": {"kind": "adding", "seq_len": 50},
    "cell": {"kind": "rnn", "hidden_size": 16},
    "remedy": {"activation": {"kind": "leaky_relu"}},
    "training": {"optimizer": {"kind": "sgd"}},
}


def key_of(patch: dict[str, Any], base: dict[str, Any] = PLAIN) -> str:
    """The key of a spec after a change."""
    return pack_key(JobSpec.model_validate(apply_merge_patch(base, patch)))


@pytest.mark.parametrize(
    "patch",
    [
        {"name": "x", "tags": ["y"]},
        {"training": {"seed": 9, "max_steps": 7, "eval_every": 3}},
        {"training": {"stop": {"kind": "target", "below": 0.1}}},
        {"training": {"optimizer": {"kind": "sgd", "lr": 0.5, "momentum": 0.9}}},
        {"remedy": {"init": {"kind": "orthogonal"}, "clipping": {"kind": "norm"}}},
        {"remedy": {"lr_control": {"kind": "cosine"}}},
        {"remedy": {"activation": {"kind": "leaky_relu", "negative_slope": 0.3}}},
        {"diagnostics": {"flow_every": 5}},
        {"run": {"priority": 9, "max_seconds": 60}},
    ],
)
def test_what_only_changes_numbers_keeps_the_key(patch: dict[str, Any]) -> None:
    """Jobs that differ in names, seeds, rates, budgets or remedies' numbers may be packed."""
    assert key_of(patch) == key_of({})


@pytest.mark.parametrize(
    "patch",
    [
        {"dataset": {"seq_len": 51}},
        {"dataset": {"kind": "delayed_recall"}},
        {"cell": {"kind": "gru"}, "remedy": {"activation": None}},
        {"cell": {"hidden_size": 17}},
        {"cell": {"num_layers": 2}},
        {"remedy": {"activation": {"kind": "relu"}}},
        {"training": {"batch_size": 65}},
        {"training": {"optimizer": {"kind": "rmsprop"}}},
        {"run": {"device": "cpu"}},
    ],
)
def test_what_changes_shapes_or_operations_changes_the_key(patch: dict[str, Any]) -> None:
    """Jobs of other sizes, cells, activations, optimizers or devices are never packed."""
    assert key_of(patch) != key_of({})


@pytest.mark.parametrize(
    "patch",
    [
        {"dataset": {"dataset_id": "ds_" + 26 * "1"}},
        {"dataset": {"task": {"seq_len": 25}}},
        {"dataset": {"task": {"horizon": 2}}},
        {"dataset": {"task": {"inputs": ["y", "z"]}}},
        {"dataset": {"task": {"time": "t"}}},
    ],
)
def test_uploads_are_packed_for_the_same_task_only(patch: dict[str, Any]) -> None:
    """Of an upload both the dataset and everything asked of it are in the key."""
    base = {"dataset": UPLOAD, "cell": {"kind": "gru"}}

    assert key_of(patch, base) != key_of({}, base)


def test_no_activation_is_tanh() -> None:
    """A spec without an activation is packed with one that names tanh."""
    assert key_of({"remedy": {"activation": None}}) == key_of(
        {"remedy": {"activation": {"kind": "tanh"}}}
    )


@given(drawn_specs())
def test_key_outlives_a_round_trip_through_json(spec: JobSpec) -> None:
    """Any spec has the key that the same spec read from its row has, and it fits the column."""
    read = JobSpec.model_validate_json(spec.model_dump_json())

    assert pack_key(read) == pack_key(spec)
    assert len(pack_key(spec)) == 32
