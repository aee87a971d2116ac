from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.merge_patch import apply_merge_patch, make_merge_patch

# RFC 7396, appendix A: document, patch, result.
RFC_EXAMPLES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]

# Documents without null: a patch cannot say null.
VALUES = st.recursive(
    st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@pytest.mark.parametrize(("document", "patch", "result"), RFC_EXAMPLES)
def test_patch_is_applied_as_the_rfc_says(document: Any, patch: Any, result: Any) -> None:  # noqa: ANN401 - any JSON
    """Every example of RFC 7396 comes out as printed there."""
    assert apply_merge_patch(document, patch) == result


@given(old=OBJECTS, new=OBJECTS)
def test_made_patch_leads_from_old_to_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Applying the patch between two documents to the first gives the second."""
    assert apply_merge_patch(old, make_merge_patch(old, new)) == new


@given(document=OBJECTS)
def test_equal_documents_need_no_patch(document: dict[str, Any]) -> None:
    """The patch between equal documents is empty."""
    assert make_merge_patch(document, document) == {}
