"""A small HTTP client of our own API, for the command line and the demonstration."""

from pathlib import Path
from typing import Any, Self

import httpx

JsonObject = dict[str, Any]

# Long enough for an upload, short enough to notice a service that is gone.
_TIMEOUT_S = 30.0
_FINAL = frozenset({"succeeded", "failed", "cancelled"})


class ServiceError(Exception):
    """The service refused a request, or could not be reached; the message is for people."""


class Client:
    """The service at `url`, by its public API only."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def submit(self, spec: JsonObject) -> JsonObject:
        """Create a job."""
        return self._call("POST", "/v1/jobs", json=spec)

    def fork(self, job_id: str, patch: JsonObject) -> JsonObject:
        """Create a job from another one's spec, patched."""
        return self._call("POST", f"/v1/jobs/{job_id}/fork", json={"patch": patch})

    def upload(self, path: Path, name: str) -> JsonObject:
        """Upload a file as a dataset."""
        with path.open("rb") as file:
            files = {"file": (path.name, file)}
            return self._call("POST", "/v1/datasets", files=files, data={"name": name})

    def job(self, job_id: str) -> JsonObject:
        """Read a job."""
        return self._call("GET", f"/v1/jobs/{job_id}")

    def events(self, job_id: str, after: int) -> list[JsonObject]:
        """Read what happened to a job after the event with this id; at most a page of it."""
        page = self._call("GET", f"/v1/jobs/{job_id}/events", params={"after": after})
        events: list[JsonObject] = page["data"]
        return events

    def diagnosis(self, job_id: str) -> JsonObject:
        """Read a job's diagnosis."""
        return self._call("GET", f"/v1/jobs/{job_id}/diagnosis")

    def is_ready(self) -> bool:
        """Whether the service takes jobs."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def _call(self, method: str, path: str, **content: Any) -> JsonObject:  # noqa: ANN401 - httpx's own arguments
        try:
            response = self._http.request(method, path, **content)
        except httpx.TransportError as error:
            raise ServiceError(f"no service at {self._http.base_url}: {error}") from error
        body: JsonObject = response.json()
        if response.is_error:
            raise ServiceError(_explain(body))
        return body


def is_final(job: JsonObject) -> bool:
    """Whether the job's status will not change any more."""
    return job["status"] in _FINAL


def _explain(problem: JsonObject) -> str:
    places = [f"  {error['pointer']}: {error['detail']}" for error in problem.get("errors", [])]
    return "\n".join([f"{problem['title']}: {problem['detail']}", *places])
