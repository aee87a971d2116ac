"""The first schema: jobs, their results, datasets and workers."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("parent_id", sa.String(40)),
        sa.Column("sweep_id", sa.String(40)),
        sa.Column("cell", sa.String(32), nullable=False),
        sa.Column("dataset", sa.String(32), nullable=False),
        sa.Column("dataset_id", sa.String(40)),
        sa.Column("device", sa.String(8), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("worker", sa.String(200)),
        sa.Column("lease_until", sa.Double),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("rung_at", sa.Double),
        sa.Column("step", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("max_steps", sa.BigInteger, nullable=False),
        sa.Column("steps_per_s", sa.Double),
        sa.Column("latest", sa.JSON, nullable=False),
        sa.Column("verdict", sa.String(32)),
        sa.Column("error", sa.JSON),
        sa.Column("released", sa.JSON),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
    )
    op.create_index("ix_jobs_queue", "jobs", ["status", "priority", "created_at"])
    op.create_index("ix_jobs_dataset_id", "jobs", ["dataset_id"])
    op.create_table(
        "job_tags",
        sa.Column("tag", sa.String(64), primary_key=True),
        sa.Column("job_id", sa.String(40), primary_key=True),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(40)),
        sa.Column("answer", sa.JSON),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_table(
        "curve_chunks",
        sa.Column("job_id", sa.String(40), primary_key=True),
        sa.Column("first_step", sa.BigInteger, primary_key=True),
        sa.Column("last_step", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "evaluations",
        sa.Column("job_id", sa.String(40), primary_key=True),
        sa.Column("step", sa.BigInteger, primary_key=True),
        sa.Column("val_loss", sa.Double),
        sa.Column("val_metric", sa.Double),
    )
    op.create_table(
        "flows",
        sa.Column("job_id", sa.String(40), primary_key=True),
        sa.Column("step", sa.BigInteger, primary_key=True),
        sa.Column("reach", sa.JSON, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "diagnoses",
        sa.Column("job_id", sa.String(40), primary_key=True),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("columns", sa.JSON, nullable=False),
        sa.Column("preview", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
    )
    op.create_table(
        "workers",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("device", sa.String(8), nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
    )


def downgrade() -> None:
    """Drop every table."""
    for table in (
        "workers",
        "datasets",
        "diagnoses",
        "flows",
        "evaluations",
        "curve_chunks",
        "idempotency_keys",
        "job_tags",
        "jobs",
    ):
        op.drop_table(table)
