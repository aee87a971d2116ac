from typing import Any

import pytest
from fastapi.testclient import TestClient
from openapi_spec_validator import validate

from contract.settings import Settings
from service.app import create_app
from service.examples import FORK_EXAMPLES, JOB_EXAMPLES
from service.openapi import OPENAPI_FILE, render
from tests.service.gateway import create

JsonObject = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> JsonObject:
    """The document of an app without keys."""
    return dict(create_app(Settings()).openapi())


def operations(document: JsonObject) -> list[JsonObject]:
    """Every operation."""
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_committed_document_is_the_app_s() -> None:
    """openapi/openapi.json is what the app generates; `make openapi` writes it."""
    assert OPENAPI_FILE.read_text() == render(create_app(Settings()))


def test_document_is_valid(document: JsonObject) -> None:
    """The document is valid OpenAPI 3.1."""
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_every_error_is_a_problem(document: JsonObject) -> None:
    """Each 4xx and 5xx is documented as application/problem+json and nothing else."""
    media_types = {
        tuple(response["content"])
        for operation in operations(document)
        for status, response in operation["responses"].items()
        if status[0] in "45"
    }

    assert media_types == {("application/problem+json",)}
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_operations_are_named_for_clients(document: JsonObject) -> None:
    """Operation ids are the functions' names, unique, each with a description and a tag."""
    names = [operation["operationId"] for operation in operations(document)]

    assert len(set(names)) == len(names)
    assert {"create_job", "get_job", "get_job_curves", "fork_job", "get_catalog"} <= set(names)
    assert all(operation["description"] and operation["tags"] for operation in operations(document))


def test_kinds_are_required(document: JsonObject) -> None:
    """Every member of a union requires its `kind`, so that clients can tell them apart."""
    kinds = [
        schema
        for schema in document["components"]["schemas"].values()
        if "const" in schema.get("properties", {}).get("kind", {})
    ]

    assert len(kinds) > 20
    assert all("kind" in schema["required"] for schema in kinds)


@pytest.mark.parametrize("name", JOB_EXAMPLES)
def test_each_job_example_works_as_it_is(client: TestClient, name: str) -> None:
    """A named example of a job is accepted when it is sent as it stands."""
    answer = client.post("/v1/jobs", json=JOB_EXAMPLES[name]["value"])

    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("name", FORK_EXAMPLES)
def test_each_fork_example_works_as_it_is(client: TestClient, name: str) -> None:
    """A named example of a fork is accepted when it is sent as it stands."""
    answer = client.post(f"/v1/jobs/{create(client)['id']}/fork", json=FORK_EXAMPLES[name]["value"])

    assert answer.status_code == 201, answer.text
