"""All SQL. One method is one transaction, on SQLite and PostgreSQL alike."""

from sqlalchemy import select

from contract.store.curve_store import CurveStore, spread
from contract.store.dataset_store import DatasetStore, new_dataset_id
from contract.store.engine import make_engine, reading
from contract.store.event_log import NewEvent
from contract.store.event_store import EventsRead, EventStore
from contract.store.job_store import JobFilter, JobStore
from contract.store.lease_store import Claim, Ending, Lease, LeaseStore
from contract.store.reports import Evaluation, Report
from contract.store.schema import SchemaMismatchError, check_schema, migrate
from contract.store.worker_store import WorkerStore


class Store:
    """The database, by what is done with it."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self.jobs = JobStore(self.engine)
        self.leases = LeaseStore(self.engine)
        self.curves = CurveStore(self.engine)
        self.events = EventStore(self.engine)
        self.datasets = DatasetStore(self.engine)
        self.workers = WorkerStore(self.engine)

    def ping(self) -> None:
        """Raise UnavailableError unless the database answers."""
        with reading(self.engine) as connection:
            connection.execute(select(1))

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


__all__ = [
    "Claim",
    "Ending",
    "Evaluation",
    "EventsRead",
    "JobFilter",
    "Lease",
    "NewEvent",
    "Report",
    "SchemaMismatchError",
    "Store",
    "check_schema",
    "migrate",
    "new_dataset_id",
    "spread",
]
