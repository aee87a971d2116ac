"""The database's tables. Times are seconds since 1970 by the database's own clock."""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("tags", JSON, nullable=False),
    Column("status", String(16), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("parent_id", String(40)),
    Column("sweep_id", String(40)),
    Column("cell", String(32), nullable=False),
    Column("dataset", String(32), nullable=False),
    Column("dataset_id", String(40)),
    Column("device", String(8), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("worker", String(200)),
    Column("lease_until", Double),
    Column("cancel_requested", Boolean, nullable=False),
    Column("rung_at", Double),  # when the doorbell was last rung for it
    Column("step", BigInteger, nullable=False, server_default=text("0")),
    Column("max_steps", BigInteger, nullable=False),
    Column("steps_per_s", Double),
    Column("latest", JSON, nullable=False),
    Column("verdict", String(32)),
    Column("error", JSON),
    Column("released", JSON),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("pack_key", String(32)),  # see contract.pack_key; NULL: to be trained alone
    # What a worker looks for, in the order it takes it.
    Index("ix_jobs_queue", "status", "priority", "created_at"),
    Index("ix_jobs_pack", "status", "pack_key"),
    Index("ix_jobs_dataset_id", "dataset_id"),
)

job_tags = Table(
    "job_tags",
    metadata,
    Column("tag", String(64), primary_key=True),
    Column("job_id", String(40), primary_key=True),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),  # of the spec that it was sent with
    Column("job_id", String(40)),
    Column("answer", JSON),  # the job as it was answered
    Column("created_at", Double, nullable=False),
)

curve_chunks = Table(
    "curve_chunks",
    metadata,
    Column("job_id", String(40), primary_key=True),
    Column("first_step", BigInteger, primary_key=True),
    Column("last_step", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),  # Arrow IPC, see contract.curve
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("job_id", String(40), primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("val_loss", Double),
    Column("val_metric", Double),
)

flows = Table(
    "flows",
    metadata,
    Column("job_id", String(40), primary_key=True),
    Column("step", BigInteger, primary_key=True),
    Column("reach", JSON, nullable=False),
    Column("body", LargeBinary, nullable=False),  # see contract.flow
)

diagnoses = Table(
    "diagnoses",
    metadata,
    Column("job_id", String(40), primary_key=True),
    Column("body", JSON, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("job_id", String(40), primary_key=True),
    Column("seq", BigInteger, primary_key=True),  # from 1, without gaps, through all attempts
    Column("attempt", Integer, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("detail", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("format", String(16), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("columns", JSON, nullable=False),
    Column("preview", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("device", String(8), nullable=False),
    Column("seen_at", Double, nullable=False),
)


class now(FunctionElement[float]):  # noqa: N801 - reads as the SQL function it is
    """The database's clock, in seconds since 1970; workers' clocks are never trusted."""

    type = Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:  # noqa: ANN401 - SQLAlchemy's signature
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:  # noqa: ANN401 - SQLAlchemy's signature
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"
