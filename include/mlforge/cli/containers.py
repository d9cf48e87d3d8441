"""Commands that containers run besides `mlforge service exec`: the first start, release servers, health checks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

GIVEN_SECRETS = Path("/run/secrets")

container_app = typer.Typer(hidden=True, no_args_is_help=True, help="What docker-compose.yaml calls.")


def register(app: typer.Typer) -> None:
    """Add the commands to `mlforge`."""
    app.add_typer(container_app, name="container")


@container_app.command()
def init(
    given_secrets: Annotated[
        Path, typer.Option(envvar="MLFORGE_GIVEN_SECRETS", help="Directory of the secrets given from outside.")
    ] = GIVEN_SECRETS,
) -> None:
    """Prepare secrets, databases, Airflow and the feature registry; what is done already is left alone."""
    from mlforge import db
    from mlforge.credentials import write_secret
    from mlforge.db.migrate import migrate
    from mlforge.services import postgres
    from mlforge.services.environment import create_secrets
    from mlforge.settings import get_settings

    settings = get_settings()
    for path in sorted(given_secrets.iterdir()) if given_secrets.is_dir() else []:
        write_secret(settings.secrets_dir, path.name, path.read_text(encoding="ascii").strip())
        typer.echo(f"secret {path.name} taken from {given_secrets}")
    create_secrets(settings)
    db.wait_until_ready(seconds=60)
    postgres.create_databases()
    migrate()
    typer.echo("the project's database is at its newest schema")
    _migrate_airflow()
    _apply_features()


def _migrate_airflow() -> None:
    from mlforge.errors import ServiceUnavailableError
    from mlforge.services.programs import airflow_process
    from mlforge.settings import get_settings

    process = airflow_process(get_settings(), "db", "migrate")
    done = subprocess.run(process.command, env=process.environment, cwd=process.directory, check=False)
    if done.returncode != 0:
        raise ServiceUnavailableError("Airflow's database cannot be migrated", hint="see the lines above")


def _apply_features() -> None:
    from mlforge.features import apply_features
    from mlforge.spec import list_use_cases, load_use_case

    for name in list_use_cases():
        views = apply_features(load_use_case(name))
        typer.echo(f"feature registry of {name}: {', '.join(views)}")


@container_app.command()
def serving() -> None:
    """Become the supervisord that holds release servers; `mlforge stage roll-out` adds and removes them."""
    from mlforge.services.environment import public_environment
    from mlforge.services.layout import log_path, private_directory, run_directory, socket_path, write_private
    from mlforge.services.programs import Process, replace_process
    from mlforge.services.supervisord import render_supervisord
    from mlforge.settings import get_settings

    settings = get_settings()
    run = run_directory(settings)
    for directory in (run, run / "programs", log_path(settings, "supervisord").parent, socket_path(settings).parent):
        private_directory(directory)
    # A container that was killed leaves them; nobody else starts a supervisord in its volume.
    for leftover in (socket_path(settings), run / "supervisord.pid"):
        leftover.unlink(missing_ok=True)
    configuration = write_private(run / "supervisord.conf", render_supervisord(settings))
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)]
    replace_process(Process(command, public_environment(settings, os.environ), directory=run))


@container_app.command()
def check(name: str) -> None:
    """Exit with 0 if the service of this container does its work, with 1 if not."""
    from mlforge.services.health import is_healthy
    from mlforge.services.programs import names
    from mlforge.services.supervisord import supervisord_pid
    from mlforge.settings import get_settings

    settings = get_settings()
    if name == "serving":
        healthy = supervisord_pid(settings) is not None
    elif name in names(settings):
        healthy = is_healthy(settings, name)
    else:
        raise typer.BadParameter(f"there is no service {name!r}")
    if not healthy:
        typer.echo(f"{name} does not answer", err=True)
        raise typer.Exit(1)
