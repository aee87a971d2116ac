"""Jobs know with which others they can be trained; those already there train alone."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the key.

    It stays NULL for jobs that are there: a key computed here would bind this file to code that
    changes, and would change what an old job is packed with; alone a job is only slower.
    """
    op.add_column("jobs", sa.Column("pack_key", sa.String(32)))
    op.create_index("ix_jobs_pack", "jobs", ["status", "pack_key"])


def downgrade() -> None:
    """Drop the key."""
    op.drop_index("ix_jobs_pack", "jobs")
    op.drop_column("jobs", "pack_key")
