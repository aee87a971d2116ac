"""The schema's versions: bring a database up to date, or say that it is not."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from contract.store.engine import reading

# Any number will do as long as every release uses the same one.
_MIGRATION_LOCK = 7_218_403


class SchemaMismatchError(Exception):
    """The database's schema is older or newer than this release needs."""


def migrate(engine: Engine) -> None:
    """Bring the database to this release's schema; safe to call from several processes at once."""
    with engine.connect().execution_options(writing=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
        config = make_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check_schema(engine: Engine) -> None:
    """Raise SchemaMismatchError unless the database has exactly this release's schema."""
    with reading(engine) as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    needed = ScriptDirectory.from_config(make_config()).get_current_head()
    if found != needed:
        raise SchemaMismatchError(
            f"the database's schema is {found or 'empty'}, this release needs {needed}: "
            "run `unroll migrate` of the same release"
        )


def make_config() -> Config:
    """Alembic's configuration; the connection to use goes into its attributes."""
    config = Config()
    config.set_main_option(
        "script_location", str(Path(__file__).resolve().parent.parent / "migrations")
    )
    return config
