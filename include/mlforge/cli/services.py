"""Commands for the services of one machine: up, down, status, logs, doctor."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

service_app = typer.Typer(hidden=True, no_args_is_help=True, help="What supervisord and Airflow call.")


def register(app: typer.Typer) -> None:
    """Add the commands to `mlforge`."""
    for command in (up, down, status, logs, doctor):
        app.command()(command)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})(
        airflow
    )
    app.add_typer(service_app, name="service")


@contextmanager
def _step(name: str) -> Iterator[None]:
    """Show that something goes on, and how long it took."""
    console = Console(highlight=False)
    started = time.monotonic()
    if console.is_terminal:
        with console.status(name):
            yield
    else:
        yield
    console.print(f"[green]✓[/green] {name} [dim]{time.monotonic() - started:.1f} s[/dim]")


def up() -> None:
    """Start everything that does not run yet, and wait until it answers."""
    from mlforge.services.lifecycle import up as start

    started = time.monotonic()
    console = Console(highlight=False)
    if start(_step, upgrade=_upgrade):
        _restore()
        console.print(f"All services answer after {time.monotonic() - started:.1f} s.")
    else:
        console.print("All services run already.")
    _print_urls(console)


def _upgrade() -> None:
    """Apply the feature registry of each use case: at start-up only, never from a task."""
    from mlforge.features import apply_features
    from mlforge.spec import list_use_cases, load_use_case

    for name in list_use_cases():
        with _step(f"feature registry of {name}"):
            apply_features(load_use_case(name))


def _restore() -> None:
    """Bring back the servers of live releases, and finish roll-outs that were interrupted."""
    from mlforge.serving import restore_deployments

    with _step("live releases"):
        restore_deployments()


def down() -> None:
    """Stop everything, whatever state it is in. Data stay."""
    from mlforge.services.lifecycle import down as stop

    left = stop(_step)
    end = f" {left} processes that were left behind were ended." if left else ""
    Console(highlight=False).print(f"Nothing runs any more.{end}")


def status(as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False) -> None:
    """Show the programs with their state, memory and addresses; exit status 3 if one does not run."""
    from mlforge.services.report import service_rows

    rows = service_rows()
    console = Console(highlight=False)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print_status(console, rows)
    if any(row["state"] != "RUNNING" for row in rows):
        raise typer.Exit(3)


def _print_status(console: Console, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title, justify in (
        *(("service", "left"), ("state", "left"), ("pid", "right"), ("up", "right"), ("memory", "right")),
        ("listens on", "left"),
    ):
        table.add_column(title, justify="right" if justify == "right" else "left")
    for row in rows:
        colour = "green" if row["state"] == "RUNNING" else "red"
        table.add_row(
            row["name"],
            f"[{colour}]{row['state'].lower()}[/{colour}]",
            str(row["pid"] or ""),
            _duration(row["uptime_seconds"]),
            f"{row['memory_bytes'] / 1e6:.0f} MB" if row["pid"] else "",
            " ".join(row["listens"]),
        )
    console.print(table)
    console.print(f"memory of all: {sum(row['memory_bytes'] for row in rows) / 1e9:.2f} GB (PSS)")
    _print_urls(console)


def _duration(seconds: float) -> str:
    if not seconds:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _print_urls(console: Console) -> None:
    from mlforge.settings import get_settings

    settings = get_settings()
    where = settings.secrets_dir
    for title, url, user in (
        ("Airflow", settings.airflow_url, f"user admin, password in {where / 'airflow_admin_password'}"),
        ("MLflow", settings.tracking_url, f"user mlforge, password in {where / 'mlflow_password'}"),
        ("gateway", settings.gateway_url, ""),
    ):
        console.print(f"{title:<8} {url}  [dim]{user}[/dim]", soft_wrap=True)


def logs(
    name: Annotated[str, typer.Argument(help="A service, as `mlforge status` names it.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many lines of the end.")] = 40,
) -> None:
    """Show the end of a service's log."""
    from mlforge.errors import SettingsError
    from mlforge.services.layout import log_path, tail
    from mlforge.settings import get_settings

    path = log_path(get_settings(), name)
    if path.parent != get_settings().home / "logs" or not path.exists():
        known = sorted(log.stem for log in path.parent.glob("*.log")) if path.parent.is_dir() else []
        raise SettingsError(f"there is no log of {name!r}", evidence=known, hint="name one of these")
    for line in tail(path, lines):
        typer.echo(line)
    if follow:
        _follow(path)


def _follow(path: Path) -> None:
    position, inode = path.stat().st_size, path.stat().st_ino
    while True:
        status = path.stat()
        if status.st_ino != inode or status.st_size < position:  # the log was rotated
            position, inode = 0, status.st_ino
        if status.st_size > position:
            with path.open("rb") as file:
                file.seek(position)
                content = file.read()
            position += len(content)
            typer.echo(content.decode("utf-8", errors="replace"), nl=False)
        time.sleep(0.3)


def doctor() -> None:
    """Check everything that could keep the services from starting; exit status 1 if something would."""
    from mlforge.services.doctor import examine
    from mlforge.settings import get_settings

    console = Console(highlight=False, soft_wrap=True)
    findings = examine(get_settings())
    for finding in findings:
        if finding.problem is None:
            console.print(f"[green]✓[/green] {finding.check}: [dim]{finding.detail}[/dim]")
        else:
            console.print(f"[red]✗ {finding.check}:[/red]", end=" ")
            console.print(str(finding.problem), style="red", markup=False)
    if any(finding.problem for finding in findings):
        raise typer.Exit(1)


def airflow(context: typer.Context) -> None:
    """Run an Airflow command with this installation's configuration, such as `mlforge airflow dags list`."""
    from mlforge.services.programs import airflow_process, replace_process
    from mlforge.settings import get_settings

    replace_process(airflow_process(get_settings(), *context.args))


@service_app.command("exec")
def exec_service(
    name: str,
    release_id: Annotated[int | None, typer.Option(help="For the service `release`.")] = None,
    port: Annotated[int | None, typer.Option(help="For the service `release`.")] = None,
) -> None:
    """Become a service."""
    if name != "release":
        from mlforge.services.programs import become

        become(name)
    if release_id is None or port is None:
        raise typer.BadParameter("a release wants --release-id and --port")
    _become_release(release_id, port)


def _become_release(release_id: int, port: int) -> None:
    from mlforge import db
    from mlforge.services.environment import public_environment
    from mlforge.services.programs import Process, replace_process
    from mlforge.serving.server import server_process
    from mlforge.settings import get_settings

    db.wait_until_ready(seconds=60)
    settings = get_settings()
    command, environment = server_process(release_id, port)
    replace_process(Process(command, {**public_environment(settings), **environment}, directory=settings.root))


@service_app.command("secret")
def secret(name: str) -> None:
    """Write a secret to standard output, for airflow.cfg."""
    from mlforge.cli.secret import print_secret

    raise typer.Exit(print_secret(name))
