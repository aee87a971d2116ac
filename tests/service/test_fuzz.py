"""Requests drawn from the OpenAPI document itself, against the app in this process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from contract.settings import Settings
from service.app import create_app
from tests.service.gateway import StandInWorker, create

PATHS = create_app(Settings()).openapi()["paths"]
OPERATIONS = [(method, path) for path, methods in PATHS.items() for method in methods]
# No schema says which cursors are ours, which files are tables, which remedies fit a cell.
MAY_REFUSE = {
    ("get", "/v1/datasets"),
    ("get", "/v1/jobs"),
    ("get", "/v1/jobs/{job_id}/curves"),
    ("post", "/v1/datasets"),
    ("post", "/v1/jobs"),
    ("post", "/v1/jobs/{job_id}/fork"),
}


def can_be_wrong(method: str, path: str) -> bool:
    """Whether a request can break the document: any text will do for the parts of a path."""
    operation = PATHS[path][method]
    places = {parameter["in"] for parameter in operation.get("parameters", [])}
    return "requestBody" in operation or "query" in places


drawing = settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def check(case: Any) -> None:  # noqa: ANN401 - schemathesis' own type
    """Send a drawn request and hold the answer against the document."""
    may_refuse = (case.operation.method, case.operation.path) in MAY_REFUSE
    case.call_and_validate(excluded_checks=[positive_data_acceptance] if may_refuse else [])


@pytest.fixture
def app_client(database_url: str, tmp_path: Path) -> Iterator[TestClient]:
    """A running app, on a fresh database of each kind."""
    artifacts = str(tmp_path / "artifacts")
    app = create_app(Settings(database_url=database_url, artifacts_url=artifacts))
    with TestClient(app) as client:
        yield client


@pytest.fixture
def api(app_client: TestClient) -> Any:  # noqa: ANN401 - schemathesis' own type
    """The document of the running app."""
    return schemathesis.openapi.from_asgi("/openapi.json", app_client.app)


@pytest.fixture
def known_ids(app_client: TestClient) -> dict[str, str]:
    """The ids of a dataset and of a running job with curves, flow and diagnosis."""
    job_id = create(app_client)["id"]
    worker = StandInWorker.of(app_client)
    worker.report(worker.claim(), [1.0, 0.5])
    files = {"file": ("t.csv", b"a\n1\n")}
    dataset_id = app_client.post("/v1/datasets", files=files).json()["id"]
    return {"job_id": job_id, "dataset_id": dataset_id}


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_right_request_is_answered_as_documented(
    api: Any,  # noqa: ANN401 - schemathesis' own type
    method: str,
    path: str,
) -> None:
    """No drawn request is answered with a 5xx, or with anything the document does not name."""

    @given(case=api[path][method].as_strategy())
    @drawing
    def draw(case: Any) -> None:  # noqa: ANN401 - the same
        check(case)

    draw()


@pytest.mark.parametrize(("method", "path"), [one for one in OPERATIONS if can_be_wrong(*one)])
def test_wrong_request_is_refused_as_documented(
    api: Any,  # noqa: ANN401 - schemathesis' own type
    method: str,
    path: str,
) -> None:
    """A request that breaks the document is answered with a documented problem."""

    @given(case=api[path][method].as_strategy(generation_mode=GenerationMode.NEGATIVE))
    @drawing
    def draw(case: Any) -> None:  # noqa: ANN401 - the same
        check(case)

    draw()


@pytest.mark.parametrize(("method", "path"), [one for one in OPERATIONS if "{" in one[1]])
def test_request_for_what_is_there_is_answered_as_documented(
    api: Any,  # noqa: ANN401 - schemathesis' own type
    known_ids: dict[str, str],
    method: str,
    path: str,
) -> None:
    """The same holds where the drawn request names a job or a dataset that exists."""

    @given(case=api[path][method].as_strategy())
    @drawing
    def draw(case: Any) -> None:  # noqa: ANN401 - the same
        case.path_parameters |= {
            name: known for name, known in known_ids.items() if name in case.path_parameters
        }
        check(case)

    draw()
