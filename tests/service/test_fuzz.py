"""Cases drawn from the OpenAPI document itself, against the app in this process."""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import unsupported_method

from contract.settings import Settings
from contract.store import Store, migrate
from service.app import create_app


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401 - schemathesis' own type
    """The document of a running app on a database of its own."""
    folder: Path = tmp_path_factory.mktemp("fuzz")
    url = f"sqlite:///{folder / 'unroll.db'}"
    store = Store(url)
    migrate(store.engine)
    store.close()
    gateway = Settings(database_url=url, artifacts_url=str(folder / "artifacts"))
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(gateway))


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_as_documented(case: schemathesis.Case) -> None:
    """No drawn request is answered with a 5xx, or with anything the document does not name."""
    # TRACE is answered by the server in front of the app, which is not here.
    case.call_and_validate(excluded_checks=[unsupported_method])
