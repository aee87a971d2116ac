"""Everything that can be asked for, read off the spec's own models: nothing is said twice."""

import inspect
import re
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

from contract.spec import (
    Activation,
    Cell,
    Clipping,
    Dataset,
    Init,
    LrControl,
    Optimizer,
    Skip,
)

_SOURCE = re.compile(r"\bSource: (?P<source>.+?)\.?\s*$", re.DOTALL)


class Parameter(BaseModel):
    """One field of a kind."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    name: str
    description: str
    required: bool
    default: Any
    """Null if it is required, or if null is the default."""
    json_schema: dict[str, Any]
    """Type and bounds, as in the OpenAPI document."""


class Entry(BaseModel):
    """One kind of dataset, cell, remedy or optimizer."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    kind: str
    description: str
    parameters: list[Parameter]
    source: str | None
    """Where it is from."""


class Catalog(BaseModel):
    """Everything a spec can ask for."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    datasets: list[Entry]
    cells: list[Entry]
    remedies: dict[str, list[Entry]]
    """By family: activation, init, skip, clipping, lr_control."""
    optimizers: list[Entry]


def make_catalog() -> Catalog:
    """The catalog of this release."""
    families = {
        "activation": Activation,
        "init": Init,
        "skip": Skip,
        "clipping": Clipping,
        "lr_control": LrControl,
    }
    return Catalog(
        datasets=_entries(Dataset),
        cells=_entries(Cell),
        remedies={name: _entries(union) for name, union in families.items()},
        optimizers=_entries(Optimizer),
    )


def _entries(union: Any) -> list[Entry]:  # noqa: ANN401 - a union is no type to mypy
    """The members of an annotated, discriminated union."""
    return [_entry(model) for model in get_args(get_args(union)[0])]


def _entry(model: type[BaseModel]) -> Entry:
    text = inspect.getdoc(model) or ""
    source = _SOURCE.search(text)
    description = _SOURCE.sub("", text).strip()
    schema = model.model_json_schema()
    properties = {
        name: _resolved(field, schema.get("$defs", {}))
        for name, field in schema["properties"].items()
    }
    return Entry(
        kind=get_args(model.model_fields["kind"].annotation)[0],
        description=re.sub(r"\s+", " ", description),
        parameters=[
            _parameter(name, field, properties[name])
            for name, field in model.model_fields.items()
            if name != "kind"
        ],
        source=re.sub(r"\s+", " ", source["source"]) if source else None,
    )


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema with the models it refers to put in their place; the answer has no `$defs`."""
    reference = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if reference in definitions:
        return {**definitions[reference], **schema}
    if "oneOf" not in schema:
        return schema
    members = [definitions[member["$ref"].removeprefix("#/$defs/")] for member in schema["oneOf"]]
    kept = {key: value for key, value in schema.items() if key != "discriminator"}
    return kept | {"oneOf": members}


def _parameter(name: str, field: FieldInfo, schema: dict[str, Any]) -> Parameter:
    bounds = {
        key: value for key, value in schema.items() if key not in {"title", "description", "$ref"}
    }
    return Parameter(
        name=name,
        description=field.description or "",
        required=field.is_required(),
        default=None if field.is_required() else field.get_default(call_default_factory=True),
        json_schema=bounds,
    )
