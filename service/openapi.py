"""The OpenAPI document: problems as they are answered, headers as they are sent."""

import json
import sys
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI

from contract.settings import Settings
from service.problems import Problem

JsonObject = dict[str, Any]

OPENAPI_FILE: Final = Path(__file__).resolve().parent.parent / "openapi" / "openapi.json"

TAGS: Final = [
    {"name": "jobs", "description": "Training jobs: submit, watch, cancel, fork."},
    {
        "name": "results",
        "description": "What came of a job: curves, gradient flow, events, diagnosis, files.",
    },
    {"name": "datasets", "description": "Uploaded data to train on."},
    {"name": "catalog", "description": "Every dataset, cell and remedy there is."},
    {"name": "health", "description": "Whether the service lives and can do its work."},
]

_TEXT: Final = {"type": "string"}
_HEADERS: Final = {
    ("create_job", "201"): ["Location", "ETag", "Idempotency-Replayed"],
    ("fork_job", "201"): ["Location", "ETag"],
    ("create_dataset", "201"): ["Location"],
    ("get_job", "200"): ["ETag", "Retry-After"],
    ("get_job", "304"): ["ETag", "Retry-After"],
    ("cancel_job", "202"): ["Retry-After"],
    ("list_job_events", "429"): ["Retry-After"],
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problems that an endpoint can answer, for its `responses`."""
    return {status: {"model": Problem} for status in statuses}


def describe(app: FastAPI) -> JsonObject:
    """The app's document; made once, then kept."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        for path in document["paths"].values():
            for operation in path.values():
                _finish_operation(operation)
        app.openapi_schema = document
    return app.openapi_schema


def _finish_operation(operation: JsonObject) -> None:
    """Name the media type that problems really have, and the headers that are really sent."""
    for status, response in operation["responses"].items():
        if status[0] in "45" and "application/json" in response.get("content", {}):
            content = response["content"]
            content["application/problem+json"] = content.pop("application/json")
        names = _HEADERS.get((operation["operationId"], status), [])
        if names:
            response["headers"] = {name: {"schema": _TEXT} for name in names}


def render(app: FastAPI) -> str:
    """The document as it is committed."""
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> int:
    """Write the document of an app without keys."""
    # Here, for the app itself is built with this module.
    from service.app import create_app  # noqa: PLC0415 - see above

    OPENAPI_FILE.parent.mkdir(exist_ok=True)
    OPENAPI_FILE.write_text(render(create_app(Settings(host="127.0.0.1", api_keys=()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
