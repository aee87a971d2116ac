"""Whether the process lives, and whether it can do its work."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from service.deps import DoorbellDep, StoreDep

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """What the gateway needs."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    database: Literal["reachable"]
    broker: Literal["none", "reachable", "unreachable"]
    """As of some seconds ago; jobs are run without it too, found by the workers' own poll."""


@router.get("/healthz")
def get_health() -> Health:
    """Answer as long as the process lives."""
    return Health(status="ok")


@router.get("/readyz")
def get_readiness(store: StoreDep, doorbell: DoorbellDep) -> Readiness:
    """Answer 200 if jobs are accepted, 503 if the database is out of reach."""
    store.ping()
    return Readiness(database="reachable", broker=doorbell.state)
