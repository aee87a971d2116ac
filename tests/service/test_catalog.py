from typing import get_args

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel

from contract.spec import Activation, Cell, Clipping, Dataset, Init, LrControl, Optimizer, Skip
from tests.service.gateway import JsonObject, create


@pytest.fixture
def catalog(client: TestClient) -> JsonObject:
    """The catalog."""
    body: JsonObject = client.get("/v1/catalog").json()
    return body


def kinds(union: object) -> list[str]:
    """The kinds of a discriminated union of the spec."""
    models: tuple[type[BaseModel], ...] = get_args(get_args(union)[0])
    return [get_args(model.model_fields["kind"].annotation)[0] for model in models]


def test_catalog_holds_every_kind_of_the_spec(catalog: JsonObject) -> None:
    """What can be asked for is what is listed, no more and no less."""
    listed = {
        "datasets": catalog["datasets"],
        "cells": catalog["cells"],
        "optimizers": catalog["optimizers"],
        **catalog["remedies"],
    }

    assert {name: [entry["kind"] for entry in entries] for name, entries in listed.items()} == {
        "datasets": kinds(Dataset),
        "cells": kinds(Cell),
        "optimizers": kinds(Optimizer),
        "activation": kinds(Activation),
        "init": kinds(Init),
        "skip": kinds(Skip),
        "clipping": kinds(Clipping),
        "lr_control": kinds(LrControl),
    }


def test_entry_tells_what_it_is_its_parameters_and_its_source(catalog: JsonObject) -> None:
    """An entry has a description, each parameter with default and bounds, and the source apart."""
    chrono = next(entry for entry in catalog["remedies"]["init"] if entry["kind"] == "chrono")

    assert chrono["source"] == "Tallec & Ollivier 2018"
    assert "Source" not in chrono["description"]
    (max_lag,) = chrono["parameters"]
    assert (max_lag["name"], max_lag["required"], max_lag["default"]) == ("max_lag", True, None)
    assert max_lag["json_schema"]["minimum"] == 3
    assert max_lag["description"]


def entries(catalog: JsonObject) -> list[JsonObject]:
    """Every entry of the catalog."""
    lists = [catalog[name] for name in ("datasets", "cells", "optimizers")]
    return [entry for found in (*lists, *catalog["remedies"].values()) for entry in found]


def test_every_entry_and_parameter_is_explained(catalog: JsonObject) -> None:
    """Nothing can be asked for that is not described."""
    described = [
        thing["description"]
        for entry in entries(catalog)
        for thing in (entry, *entry["parameters"])
    ]

    assert len(described) > 60
    assert all(described)


def test_only_what_is_our_own_or_common_has_no_source(catalog: JsonObject) -> None:
    """Whatever is from a paper names it."""
    assert {entry["kind"] for entry in entries(catalog) if entry["source"] is None} == {
        "constant", "default", "exponential", "plateau", "sgd", "step", "subject_recall", "tanh",
        "upload",
    }  # fmt: skip


@pytest.mark.parametrize("family", ["datasets", "cells"])
def test_defaults_of_the_catalog_make_a_job(
    client: TestClient, catalog: JsonObject, family: str
) -> None:
    """An entry's defaults, written out, are accepted and are what is filled in."""
    member = family.removesuffix("s")
    listed = [entry for entry in catalog[family] if entry["kind"] != "upload"]

    for entry in listed:
        part = {"kind": entry["kind"]}
        part |= {parameter["name"]: parameter["default"] for parameter in entry["parameters"]}
        assert create(client, **{member: part})["spec"][member] == part
        assert create(client, **{member: {"kind": entry["kind"]}})["spec"][member] == part
