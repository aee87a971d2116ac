"""The `unroll` command. Roles are started as modules, so that each loads only what it needs."""

import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn, TextIO

import click
from pydantic import ValidationError
from rich.console import Console

from contract.log import set_up_logging
from contract.settings import Settings
from contract.store import Store, migrate
from service.client import Client, ServiceError
from service.embedded import DataFolderInUseError, PortInUseError, serve
from service.watch import show_diagnosis, watch_job


@click.group()
@click.version_option(package_name="unroll")
def main() -> None:
    """Train recurrent networks, and read why they fail and what fixes it."""


@main.command("serve")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port.  [default: 8000]")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Folder.  [default: data]")
def serve_command(**options: Any) -> None:  # noqa: ANN401 - click's own
    """Everything on this machine: bundled broker, SQLite, one gateway, one worker."""
    settings = _settings(**options)
    set_up_logging(settings.log_level)
    try:
        serve(settings)
    except (DataFolderInUseError, PortInUseError) as error:
        raise click.ClickException(str(error)) from None


@main.command()
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port.  [default: 8000]")
def gateway(host: str | None, port: int | None) -> None:
    """The HTTP API alone."""
    settings = _settings(host=host, port=port)
    os.environ |= {"UNROLL_HOST": settings.host, "UNROLL_PORT": str(settings.port)}
    _become("service")


@main.command()
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
def worker(device: str) -> None:
    """A trainer alone; `auto` takes the GPU if there is one."""
    _become("worker", "--device", device)


@main.command("migrate")
def migrate_command() -> None:
    """Bring the database to this release's schema."""
    store = Store(Settings(host="127.0.0.1").resolved_database_url())
    migrate(store.engine)
    store.close()
    click.echo("the database is up to date")


@main.command()
@click.argument("spec", type=click.File("r"))
@click.option("--url", envvar="UNROLL_URL", default="http://127.0.0.1:8000", show_default=True)
@click.option("--api-key", envvar="UNROLL_API_KEY", help="Bearer key, if the service asks for one.")
@click.option("--watch", is_flag=True, help="Follow the job with a bar, then show its diagnosis.")
def submit(spec: TextIO, url: str, api_key: str | None, *, watch: bool) -> None:
    """POST a job spec (a JSON file, or - for standard input) to a running service."""
    console = Console()
    try:
        document = json.load(spec)
    except json.JSONDecodeError as error:
        raise click.ClickException(f"the spec is not JSON: {error}") from None
    try:
        with Client(url, api_key) as client:
            job = client.submit(document)
            console.print(job["id"])
            if watch:
                _watch(client, job, console)
    except ServiceError as error:
        raise click.ClickException(str(error)) from None


def _watch(client: Client, job: dict[str, Any], console: Console) -> None:
    ended = watch_job(client, job, job["name"] or job["id"], console)
    if ended["error"]:
        raise click.ClickException(f"{ended['error']['code']}: {ended['error']['message']}")
    show_diagnosis(client.diagnosis(ended["id"]), console)


def _settings(**options: object) -> Settings:
    """The environment's settings, overridden by what the command line gives."""
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        reasons = "; ".join(str(detail["msg"]) for detail in error.errors())
        raise click.ClickException(reasons) from None


def _become(module: str, *arguments: str) -> NoReturn:
    """Replace this process by a role's, so that signals reach it directly."""
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
