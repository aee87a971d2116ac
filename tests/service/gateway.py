"""What tests of the gateway share: a stand-in for a worker, and how answers are read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi import FastAPI
from fastapi.testclient import TestClient

from contract.curve import SERIES, Curve
from contract.diagnosis import (
    Diagnosis,
    Finding,
    FindingCode,
    Measures,
    Prescription,
    Severity,
    Verdict,
)
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

    @classmethod
    def of(cls, client: TestClient) -> "StandInWorker":
        """A stand-in on the database of a client's gateway."""
        return cls(app_of(client).state.store)

    def claim(self) -> Lease:
        """Claim the next job."""
        (claimed,) = self.store.leases.claim("stand-in", "cpu", 60, 1)
        return claimed.lease

    def lease_of(self, job_id: str) -> Lease:
        """The lease of a job that was claimed once."""
        return Lease(job_id, self.store.jobs.read(job_id).attempt)

    def report(self, lease: Lease, losses: list[float], first: int = 1) -> None:
        """Report steps with these losses, an evaluation of the last and one flow record.

        Each further series is the loss times its place in SERIES, each further layer ten times
        the first, so that none can be taken for another.
        """
        steps = np.arange(first, first + len(losses))
        places = enumerate(SERIES, start=1)
        curve = Curve(steps, {name: place * np.array(losses) for place, name in places})
        flow = np.outer([1.0, 10.0], np.arange(1.0, 21.0))
        report = Report(
            curve,
            Latest(loss=losses[-1]),
            steps_per_s=100.0,
            evaluations=(Evaluation(int(steps[-1]), losses[-1], 0.5),),
            flows=(Flow(int(steps[-1]), flow, flow / 2, (7, 9)),),
            diagnosis=diagnosis_of(lease.job_id),
        )
        self.store.leases.report_all({lease: report})

    def finish(self, lease: Lease) -> None:
        """End the job well."""
        self.store.leases.finish(lease, Ending(JobStatus.SUCCEEDED))


def diagnosis_of(job_id: str) -> Diagnosis:
    """A diagnosis as a worker writes it while it trains."""
    finding = Finding(
        code=FindingCode.OVER_CLIPPED,
        severity=Severity.WARNING,
        first_step=1,
        last_step=60,
        evidence={"clip_fraction": 0.9, "grad_norm_median": None},
        threshold={"clip_fraction": 0.5},
        explanation="90 % of the updates were cut.",
    )
    prescription = Prescription(
        rank=1,
        title="Clip later",
        because=(FindingCode.OVER_CLIPPED,),
        patch={"remedy": {"clipping": {"kind": "norm", "max_norm": 5.0}}},
        reason="The median norm is 4.",
        source="Pascanu et al. 2013",
    )
    return Diagnosis(
        job_id=job_id,
        final=False,
        verdict=Verdict.HEALTHY,
        summary="It learns.",
        findings=(finding,),
        measures=Measures(seq_len=100, loss_baseline=0.167),
        prescriptions=(prescription,),
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
