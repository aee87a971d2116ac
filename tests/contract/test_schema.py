import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select

from contract.spec import JobSpec
from contract.store import SchemaMismatchError, Store, check_schema, migrate
from contract.store.schema import make_config
from contract.tables import jobs, metadata


def test_migrations_make_the_tables_of_the_code(store: Store) -> None:
    """A migrated database has exactly the tables and columns that the code names."""
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection)

        assert compare_metadata(context, metadata) == []


def test_migrating_twice_changes_nothing(store: Store) -> None:
    """A second migration finds nothing to do."""
    migrate(store.engine)

    check_schema(store.engine)


def test_unmigrated_database_is_refused(tmp_path: object) -> None:
    """A gateway or worker on an empty database says what to run."""
    store = Store(f"sqlite:///{tmp_path}/empty.db")

    with pytest.raises(SchemaMismatchError, match="unroll migrate"):
        check_schema(store.engine)

    store.close()


def test_migrations_can_be_taken_back(store: Store) -> None:
    """Downgrading to the beginning leaves no table of ours."""
    with store.engine.begin() as connection:
        config = make_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")

    assert set(inspect(store.engine).get_table_names()) <= {"alembic_version"}


def test_jobs_outlive_a_step_back_and_forth(store: Store, spec: JobSpec) -> None:
    """Jobs are kept when the pack key is taken away and added again, and then train alone."""
    job = store.jobs.create(spec, max_queued=10)
    with store.engine.begin() as connection:
        config = make_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        command.upgrade(config, "head")

    assert store.jobs.read(job.id) == job
    with store.engine.connect() as connection:
        assert connection.execute(select(jobs.c.pack_key)).scalar_one() is None
