"""`python -m service`: start a gateway."""

import sys

import uvicorn
from pydantic import ValidationError

from contract.log import set_up_logging
from contract.settings import Settings
from contract.store import SchemaMismatchError, Store, check_schema
from service.app import create_app


def main() -> int:
    """Read the settings and listen; returns the exit code."""
    try:
        settings = Settings()
        store = Store(settings.resolved_database_url())
        check_schema(store.engine)
        store.close()
    except ValidationError as error:
        reasons = "; ".join(str(detail["msg"]) for detail in error.errors())
        sys.stderr.write(f"unroll gateway: {reasons}\n")
        return 1
    except SchemaMismatchError as error:
        sys.stderr.write(f"unroll gateway: {error}\n")
        return 1
    set_up_logging(settings.log_level)
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=10,
        h11_max_incomplete_event_size=16_384,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
