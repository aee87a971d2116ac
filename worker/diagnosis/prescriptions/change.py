"""A change of a spec: what it is called, how it is made, and where it is from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contract.spec import JobSpec

JsonObject = dict[str, Any]


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
            union is given whole, so that nothing of its old kind is left.
    """
    document = spec.model_dump(mode="json")
    return JobSpec.model_validate(
        document | {part: document[part] | members for part, members in parts.items()}
    )
