"""A change of a spec: what it is called, how it is made, and where it is from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, get_args

from contract.spec import Cell, JobSpec

JsonObject = dict[str, Any]

# By the cell's kind.
_CELL_FIELDS: Final = {
    get_args(model.model_fields["kind"].annotation)[0]: model.model_fields.keys()
    for model in get_args(get_args(Cell)[0])
}


@dataclass(frozen=True)
class Change:
    """One remedy, ready to be applied to a spec."""

    title: str
    apply: Callable[[JobSpec], JobSpec]
    """The spec with the remedy; equal to its input where the remedy is there already."""
    why: str
    """Why it helps, without the run's own numbers."""
    source: str


def revised(spec: JobSpec, **parts: JsonObject) -> JobSpec:
    """The spec with members of some of its parts replaced as a whole, checked anew.

    Args:
        spec: any valid spec.
        parts: by part (`cell`, `remedy`, `training`), the members to replace; a member that is a
            union is given whole, so that nothing of its old kind is left. Where the cell's kind
            is replaced, what only the old kind had is left out.
    """
    document = spec.model_dump(mode="json")
    new = document | {part: document[part] | members for part, members in parts.items()}
    fields = _CELL_FIELDS[new["cell"]["kind"]]
    cell = {name: value for name, value in new["cell"].items() if name in fields}
    return JobSpec.model_validate(new | {"cell": cell})
