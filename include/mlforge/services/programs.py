"""The services of one machine: what each runs, as whom, in which environment.

supervisord runs every one as `mlforge service exec <name>`, which becomes the service: so secrets pass from their
files into the environment of that one process, and never through an argument list or a configuration file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlforge.errors import SettingsError
from mlforge.services import gateway, postgres
from mlforge.services.environment import airflow_environment, mlflow_environment, public_environment
from mlforge.services.program import Program
from mlforge.services.supervisord import MARKER
from mlforge.settings import Settings, get_settings

AIRFLOW = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer")


@dataclass(frozen=True)
class Process:
    """What a service becomes: arguments, the whole environment, the uid it runs as."""

    command: list[str]
    environment: dict[str, str] = field(repr=False)
    user: int | None = None
    directory: Path | None = None


@dataclass(frozen=True)
class _Service:
    process: Callable[[Settings], Process]
    priority: int
    stop_signal: str = "TERM"
    stop_group: bool = True
    stop_wait_seconds: int = 15
    needs_database: bool = True


def names(settings: Settings) -> list[str]:
    """Return the services that run here, in the order of their start; what a setting places elsewhere is left out."""
    elsewhere = {"postgres"} if settings.database_url else set()
    if settings.mlflow_url:
        elsewhere.add("mlflow")
    return [name for name in _SERVICES if name not in elsewhere]


def program(name: str) -> Program:
    """Return a service as supervisord runs it."""
    service = _service(name)
    settings = get_settings()
    return Program(
        name=name,
        command=exec_command(name),
        environment={"MLFORGE_ROOT": str(settings.root), "MLFORGE_HOME": str(settings.home)},
        priority=service.priority,
        stop_signal=service.stop_signal,
        stop_group=service.stop_group,
        stop_wait_seconds=service.stop_wait_seconds,
    )


def exec_command(name: str, *arguments: str) -> list[str]:
    """Return the command that becomes a service."""
    return [sys.executable, "-m", "mlforge.cli.main", "service", "exec", name, *arguments]


def become(name: str) -> None:
    """Turn this process into a service; returns never, or raises.

    Raises:
        SettingsError: There is no such service, or a part of it is missing.
        ServiceUnavailableError: PostgreSQL does not answer.
    """
    settings = get_settings()
    service = _service(name)
    if service.needs_database:
        from mlforge import db

        db.wait_until_ready("airflow" if name in AIRFLOW else "mlflow", seconds=60)
    replace_process(service.process(settings))


def replace_process(process: Process) -> None:
    """Turn this process into the given one; returns never."""
    if process.user is not None:
        os.setgroups([])
        os.setgid(process.user)
        os.setuid(process.user)
    os.chdir(process.directory or "/")
    os.execve(process.command[0], process.command, process.environment)  # noqa: S606  (no shell is wanted)


def _service(name: str) -> _Service:
    if name not in _SERVICES:
        raise SettingsError(f"there is no service {name!r}", hint=f"one of {', '.join(_SERVICES)}")
    return _SERVICES[name]


def _postgres(settings: Settings) -> Process:
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", MARKER: str(settings.home)}
    return Process(postgres.server_command(settings), environment, user=postgres.server_user())


def _mlflow(settings: Settings) -> Process:
    hosts = {settings.mlflow_host, settings.host, "localhost", "127.0.0.1"}
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", settings.host, "--port", str(settings.mlflow_port)),
        *("--workers", "1", "--app-name", "basic-auth"),
        *("--serve-artifacts", "--artifacts-destination", f"{settings.storage}/mlflow"),
        *("--allowed-hosts", ",".join(sorted(hosts | {f"{host}:{settings.mlflow_port}" for host in hosts}))),
    ]
    environment = {**public_environment(settings), **mlflow_environment(settings)}
    return Process(command, environment, directory=settings.home / "run")


def _airflow(*arguments: str) -> Callable[[Settings], Process]:
    def process(settings: Settings) -> Process:
        return airflow_process(settings, *arguments)

    return process


def airflow_process(settings: Settings, *arguments: str) -> Process:
    """Return an Airflow command with this installation's configuration and secrets."""
    environment = {**public_environment(settings), **airflow_environment(settings)}
    return Process([sys.executable, "-m", "airflow", *arguments], environment, directory=settings.root)


def _api_server(settings: Settings) -> Process:
    return airflow_process(
        settings, "api-server", "--workers", "1", "--host", settings.host, "--port", str(settings.airflow_port)
    )


def _scheduler(settings: Settings) -> Process:
    process = airflow_process(settings, "scheduler", "--skip-serve-logs")
    # This module runs Airflow's own command, after the imports that its workers are to share.
    command = [sys.executable, "-m", "mlforge_airflow.executor", *process.command[3:]]
    return replace(process, command=command)


def _gateway(settings: Settings) -> Process:
    gateway.write_gateway(settings)
    environment = {"PATH": "/usr/bin:/bin", MARKER: str(settings.home)}
    return Process(gateway.gateway_command(settings), environment, directory=settings.home / "run")


# The scheduler gets its signal alone: it ends its workers itself, and a running task with them.
_SERVICES: dict[str, _Service] = {
    "postgres": _Service(
        _postgres, priority=10, stop_signal="INT", stop_group=False, stop_wait_seconds=30, needs_database=False
    ),
    "mlflow": _Service(_mlflow, priority=20),
    "airflow-api-server": _Service(_api_server, priority=30),
    "airflow-scheduler": _Service(_scheduler, priority=40),
    "airflow-dag-processor": _Service(_airflow("dag-processor"), priority=40),
    "airflow-triggerer": _Service(_airflow("triggerer", "--skip-serve-logs"), priority=40),
    "gateway": _Service(_gateway, priority=20, needs_database=False),
}
