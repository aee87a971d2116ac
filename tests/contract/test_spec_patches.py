import copy
from typing import Any

from hypothesis import given

from contract.merge_patch import apply_merge_patch, make_merge_patch
from contract.spec import JobSpec
from tests.contract.drawn_specs import drawn_specs


@given(drawn_specs(), drawn_specs())
def test_any_spec_can_be_patched_into_any_other(old: JobSpec, new: JobSpec) -> None:
    """A patch between two stored specs gives a document that reads as the new spec."""
    stored = old.model_dump(mode="json")
    patch = make_merge_patch(stored, new.model_dump(mode="json"))

    assert JobSpec.model_validate(apply_merge_patch(stored, patch)) == new


@given(drawn_specs(), drawn_specs())
def test_patching_leaves_its_arguments_alone(old: JobSpec, new: JobSpec) -> None:
    """The stored spec and the patch are afterwards what they were before."""
    stored = old.model_dump(mode="json")
    patch = make_merge_patch(stored, new.model_dump(mode="json"))
    before = copy.deepcopy((stored, patch))
    apply_merge_patch(stored, patch)

    assert (stored, patch) == before


def test_patch_holds_only_what_changes() -> None:
    """Members that stay are not in the patch; null counts as absent on both sides."""
    old = {"name": "x", "remedy": {"clipping": {"kind": "norm", "max_norm": 1.0}, "init": None}}
    new = {"name": "x", "remedy": {"clipping": {"kind": "value", "clip_value": 1.0}}}

    assert make_merge_patch(old, new) == {
        "remedy": {"clipping": {"kind": "value", "clip_value": 1.0, "max_norm": None}}
    }


def test_true_is_not_one() -> None:
    """JSON tells true from 1, though Python calls them equal."""
    old: dict[str, Any] = {"a": 1}
    patch = make_merge_patch(old, {"a": True})

    assert apply_merge_patch(old, patch)["a"] is True
