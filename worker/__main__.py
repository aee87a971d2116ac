"""`python -m worker`: start a worker."""

import argparse
import sys

from contract.log import set_up_logging
from contract.settings import Settings
from contract.store import SchemaMismatchError
from worker.app import run_worker


def main() -> int:
    """Read the command line and run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="unroll worker")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    # A worker never listens, so the rule about hosts and keys is not for it.
    settings = Settings(host="127.0.0.1")
    arguments = parser.parse_args()
    set_up_logging(settings.log_level)
    try:
        return run_worker(arguments.device, settings)
    except SchemaMismatchError as error:
        sys.stderr.write(f"unroll worker: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
