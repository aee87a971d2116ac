"""`python -m service`: start a gateway."""

import sys
from contextlib import suppress

import uvicorn
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from contract.errors import UnrollError
from contract.log import set_up_logging
from contract.settings import Settings
from contract.store import SchemaMismatchError, Store, check_schema
from service.app import create_app
from service.server import GatewayServer


def main() -> int:
    """Read the settings and listen; returns the exit code."""
    try:
        settings = Settings()
        _check_database(settings)
    except ValidationError as error:
        return _refuse("; ".join(_reason(detail) for detail in error.errors()))
    except (SchemaMismatchError, UnrollError) as error:
        return _refuse(str(error))
    set_up_logging(settings.log_level)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=16_384,
    )
    # What uvicorn makes of Ctrl-C once it has ended all.
    with suppress(KeyboardInterrupt):
        GatewayServer(app, config).run()
    return 0


def _check_database(settings: Settings) -> None:
    store = Store(settings.resolved_database_url())
    check_schema(store.engine)
    store.close()


def _refuse(reason: str) -> int:
    sys.stderr.write(f"unroll gateway: {reason}\n")
    return 1


def _reason(detail: ErrorDetails) -> str:
    """What is wrong with a setting, under the name that its operator knows."""
    names = [f"UNROLL_{part}".upper() for part in detail["loc"][:1]]
    return ": ".join([*names, detail["msg"].removeprefix("Value error, ")])


if __name__ == "__main__":
    sys.exit(main())
