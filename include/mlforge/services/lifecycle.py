"""Starting and stopping everything, from whatever state an interrupted attempt has left."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from pathlib import Path

from mlforge.errors import MLForgeError, ServiceUnavailableError, SettingsError
from mlforge.services import doctor, health, postgres, programs
from mlforge.services.environment import create_secrets, public_environment
from mlforge.services.layout import log_path, private_directory, run_directory, socket_path, tail, write_private
from mlforge.services.processes import end_processes, installation_processes
from mlforge.services.supervision import program_states, start_program
from mlforge.services.supervisord import start_supervisord, stop_supervisord, supervisord_pid
from mlforge.settings import Settings, get_settings

Step = Callable[[str], AbstractContextManager[None]]
_START_SECONDS = 300.0


def up(step: Step, *, upgrade: Callable[[], None] = lambda: None) -> bool:
    """Start what does not run yet and return when every service answers; return False if all did already.

    Args:
        step: Gives the context that shows one step to the person.
        upgrade: Called when the project's database is at its newest schema, before the services that use it start.

    Raises:
        SettingsError: Something that a person has to change, or services that run with other settings.
        ServiceUnavailableError: A service does not start; with the end of its log.
    """
    settings = get_settings()
    with only_one(settings, step):
        if supervisord_pid(settings) is None:
            _prepare(settings, step)
        _require_same_settings(settings)
        if _stamp(settings, "complete").exists() and _all_healthy(settings):
            return False
        with step("environment"):
            create_secrets(settings)
            if "postgres" in programs.names(settings):
                postgres.initialise(settings)
            start_supervisord(public_environment(settings))
            remember_settings(settings)
        _start_database(settings, step)
        _start_rest(settings, step, upgrade)
        write_private(_stamp(settings, "complete"), "")
        return True


def down(step: Step) -> int:
    """Stop everything, also what a killed supervisord has left behind; return how many of those there were."""
    settings = get_settings()
    if not settings.home.exists():
        return 0
    with only_one(settings, step):
        with step("services"):
            stop_supervisord(seconds=90)
        left = installation_processes(settings)
        if left:
            with step("processes left behind"):
                end_processes(left)
        _forget(settings)
        return len(left)


@contextmanager
def only_one(settings: Settings, step: Step) -> Iterator[None]:
    """Hold the right to start or stop the services; whoever comes second waits."""
    _require_home(settings)
    with (private_directory(run_directory(settings)) / "lifecycle.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("another `mlforge up` or `down`"):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _require_home(settings: Settings) -> None:
    doctor.check_home(settings)


def _prepare(settings: Settings, step: Step) -> None:
    """End what a killed supervisord left, and see that nothing else is in the way."""
    left = installation_processes(settings)
    if left:
        with step("processes left behind"):
            end_processes(left)
    _forget(settings)
    with step("checks"):
        doctor.require_startable(settings)


def _forget(settings: Settings) -> None:
    """Remove what describes services that no longer run; release servers stay described and come back with `up`."""
    run = run_directory(settings)
    for path in (
        socket_path(settings),
        run / "supervisord.pid",
        _stamp(settings, "settings"),
        _stamp(settings, "complete"),
    ):
        path.unlink(missing_ok=True)
    for name in programs.names(settings):
        (run / "programs" / f"{name}.conf").unlink(missing_ok=True)


def _start_database(settings: Settings, step: Step) -> None:
    if "postgres" in programs.names(settings):
        with step("PostgreSQL"):
            start_program(programs.program("postgres"), wait=False)
            health.wait_until_healthy(settings, ["postgres"], seconds=60)
    with step("databases"):
        postgres.create_databases()


def _start_rest(settings: Settings, step: Step, upgrade: Callable[[], None]) -> None:
    """Start the others; most of it is imports, so what can overlap does."""
    from mlforge.db.migrate import migrate

    rest = [name for name in programs.names(settings) if name != "postgres"]
    with ThreadPoolExecutor(max_workers=1) as background:
        for name in rest:
            if name not in programs.AIRFLOW:
                start_program(programs.program(name), wait=False)
        airflow = background.submit(_start_airflow, settings)
        with step("schema of the project's database"):
            migrate()
        upgrade()
        with step("schema of Airflow's database"):
            airflow.result()
    start_program(programs.program("airflow-scheduler"), wait=False)  # last: a task finds everything in place
    for name in rest:
        with step(name):
            health.wait_until_healthy(settings, [name], seconds=_START_SECONDS)


def _start_airflow(settings: Settings) -> None:
    _migrate_airflow(settings)
    for name in programs.AIRFLOW:
        if name != "airflow-scheduler":
            start_program(programs.program(name), wait=False)


def _migrate_airflow(settings: Settings) -> None:
    """Bring Airflow's database to the installed version; one that is there already costs nothing."""
    stamp = private_directory(settings.home / "airflow") / "migrated"
    if stamp.exists() and stamp.read_text() == _airflow_schema():
        return
    process = programs.airflow_process(settings, "db", "migrate")
    log = log_path(settings, "airflow-db-migrate")
    with log.open("wb") as file:
        done = subprocess.run(
            process.command,
            env=process.environment,
            cwd=process.directory,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        raise ServiceUnavailableError(
            "Airflow's database cannot be migrated", evidence=tail(log, 5), hint="see `mlforge logs airflow-db-migrate`"
        )
    write_private(stamp, _airflow_schema())


def _airflow_schema() -> str:
    """Return Airflow's version with the revision that its database is at."""
    import psycopg

    from mlforge import db

    with db.connect("airflow") as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except psycopg.errors.UndefinedTable:
            connection.rollback()
            row = None
    return f"{version('apache-airflow')} {row[0] if row else 'empty'}"


def _all_healthy(settings: Settings) -> bool:
    try:
        states = program_states()
    except MLForgeError:
        return False
    return all(
        name in states and states[name].running and health.is_healthy(settings, name)
        for name in programs.names(settings)
    )


def _require_same_settings(settings: Settings) -> None:
    stamp = _stamp(settings, "settings")
    if stamp.exists() and stamp.read_text() != _fingerprint(settings):
        raise SettingsError(
            "the services run with other settings than this command",
            where=str(settings.home),
            hint="run `mlforge down` first, or set the same MLFORGE_ variables as before",
        )


def remember_settings(settings: Settings) -> None:
    """Note the settings that the services run with, as a hash: a database's URL may hold a password."""
    write_private(_stamp(settings, "settings"), _fingerprint(settings))


def _fingerprint(settings: Settings) -> str:
    return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()


def _stamp(settings: Settings, name: str) -> Path:
    return run_directory(settings) / f"{name}.stamp"
