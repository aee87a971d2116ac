"""JSON Merge Patch (RFC 7396): apply one, or make the smallest one between two documents."""

import json
from typing import Any

JsonValue = Any
JsonObject = dict[str, Any]


def apply_merge_patch(document: JsonValue, patch: JsonValue) -> JsonValue:
    """The document with the patch applied; neither is changed. Source: RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = apply_merge_patch(merged.get(name), value)
    return merged


def make_merge_patch(old: JsonObject, new: JsonObject) -> JsonObject:
    """The smallest patch that turns `old` into `new`, a member that is null counting as absent.

    Where a union changes its kind, the old kind's own fields are removed by null, null or not: the
    new kind does not know them.
    """
    changes_kind = old.get("kind") != new.get("kind")
    patch: JsonObject = {
        name: None
        for name in old
        if (name not in new and changes_kind) or (new.get(name) is None and old[name] is not None)
    }
    for name, value in new.items():
        if value is None or _is_same(old.get(name), value):
            continue
        both_are_objects = isinstance(value, dict) and isinstance(old.get(name), dict)
        patch[name] = (
            make_merge_patch(old[name], value) if both_are_objects else _without_nulls(value)
        )
    return patch


def _is_same(one: JsonValue, other: JsonValue) -> bool:
    """Whether two values are the same JSON; to Python, true is also 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _without_nulls(value: JsonValue) -> JsonValue:
    if not isinstance(value, dict):
        return value
    return {name: _without_nulls(member) for name, member in value.items() if member is not None}
