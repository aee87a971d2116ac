"""What tests of the gateway share: a stand-in for a worker, and how answers are read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.testclient import TestClient

from contract.curve import SERIES, Curve
from contract.diagnosis import Diagnosis, Verdict
from contract.flow import Flow
from contract.job import JobStatus, Latest
from contract.store import Ending, Evaluation, Lease, Report, Store

JsonObject = dict[str, Any]

SPEC: JsonObject = {"dataset": {"kind": "adding"}, "cell": {"kind": "rnn"}}

MakeClient = Callable[..., TestClient]


def app_of(client: TestClient) -> FastAPI:
    """The application behind a client."""
    assert isinstance(client.app, FastAPI)
    return client.app


@dataclass(frozen=True)
class StandInWorker:
    """Claims jobs and reports what a test wants them to have."""

    store: Store

    def claim(self) -> Lease:
        """Claim the next job."""
        claimed = self.store.leases.claim("stand-in", "cpu", 60)
        assert claimed
        return claimed.lease

    def report(self, lease: Lease, losses: list[float], first: int = 1) -> None:
        """Report steps with these losses, an evaluation of each and one flow record."""
        steps = np.arange(first, first + len(losses))
        curve = Curve(steps, {name: np.array(losses) for name in SERIES})
        flow = np.arange(1.0, 21.0).reshape(1, 20)
        report = Report(
            curve,
            Latest(loss=losses[-1]),
            steps_per_s=100.0,
            evaluations=(Evaluation(int(steps[-1]), losses[-1], 0.5),),
            flows=(Flow(int(steps[-1]), flow, flow / 2, (7,)),),
            diagnosis=diagnosis_of(lease.job_id),
        )
        self.store.leases.report(lease, report)

    def finish(self, lease: Lease) -> None:
        """End the job well."""
        self.store.leases.finish(lease, Ending(JobStatus.SUCCEEDED))


def diagnosis_of(job_id: str) -> Diagnosis:
    """A diagnosis as a worker writes it while it trains."""
    return Diagnosis(
        job_id=job_id,
        final=False,
        verdict=Verdict.HEALTHY,
        summary="It learns.",
        findings=(),
        measures=None,
        prescriptions=(),
    )


def create(client: TestClient, **changes: Any) -> JsonObject:  # noqa: ANN401 - any JSON
    """POST a job that must be accepted."""
    answer = client.post("/v1/jobs", json=SPEC | changes)
    assert answer.status_code == 201, answer.text
    job: JsonObject = answer.json()
    return job


def problem(answer: Any, status: int) -> JsonObject:  # noqa: ANN401 - a response
    """The problem in an answer that must be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: JsonObject = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "instance", "code", "errors"}
    assert body["status"] == status
    assert body["instance"] == answer.headers["x-request-id"]
    return body


def pointers(body: JsonObject) -> list[str]:
    """Where the problem's errors are."""
    return [error["pointer"] for error in body["errors"]]
