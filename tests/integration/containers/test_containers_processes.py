"""Each service of docker-compose.yaml as a process: its command, its environment, its health check.

No engine is needed: names of services are this machine's loopback, ports are free ones, volumes one directory. What
the file says is what runs here, in the order of its dependencies. PostgreSQL's image is stood in for by the same
version from the wheel.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from mlforge.services import postgres
from mlforge.settings import Settings
from processes import die_with_parent, free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROGRAMS = Path(sys.executable).parent


class Containers:
    """The services of the file, started one by one as processes of this machine."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ports = {name: free_port() for name in ("postgres", "airflow", "mlflow", "gateway", "gateway_admin")}
        self.variables = self._variables()
        self.given = home / "given-secrets"
        self.given.mkdir(mode=0o700)
        for name, secret in COMPOSE["secrets"].items():
            (self.given / name).write_text(self.variables[secret["environment"]], encoding="ascii")
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.healthy: set[str] = set()

    def _variables(self) -> dict[str, str]:
        path = self.home / ".env"
        subprocess.run(["sh", str(ROOT / "deploy/compose/make_env.sh"), str(path)], check=True, capture_output=True)
        return dict(line.split("=", 1) for line in path.read_text(encoding="ascii").splitlines())

    def environment(self, name: str) -> dict[str, str]:
        """Return what the file gives a service, moved to this machine."""
        given = {key: self._value(str(value)) for key, value in SERVICES[name]["environment"].items()}
        for key in given:
            if key.endswith("_HOST"):
                assert key == "MLFORGE_HOST" or given[key] in SERVICES
                given[key] = "127.0.0.1"
        ports = {f"MLFORGE_{service.upper()}_PORT": str(port) for service, port in self.ports.items()}
        moved = {"MLFORGE_HOME": str(self.home), "MLFORGE_GIVEN_SECRETS": str(self.given)}
        # As in a container: nothing of this process's environment but what the image sets.
        return {"PATH": f"{PROGRAMS}:/usr/bin:/bin", "HOME": str(self.home), **given, **ports, **moved}

    def _value(self, text: str) -> str:
        return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: self.variables[found[1]], text)

    def start(self, name: str) -> None:
        with (self.home / f"{name}.out").open("wb") as log:
            self.running[name] = subprocess.Popen(
                [str(PROGRAMS / "mlforge"), *SERVICES[name]["command"]],
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def start_database(self) -> None:
        """Do what PostgreSQL's image does with the file's settings, with the programs of the wheel."""
        service = SERVICES["postgres"]
        environment = {"MLFORGE_HOME": str(self.home), "MLFORGE_POSTGRES_PORT": str(self.ports["postgres"])}
        with pytest.MonkeyPatch.context() as patch:
            for key, value in environment.items():
                patch.setenv(key, value)
            settings = Settings()
        secrets = self.home / "secrets"
        secrets.mkdir(mode=0o700)
        shutil.copy(self.given / "postgres_password", secrets / "postgres_password")
        postgres.initialise(settings)
        shutil.rmtree(secrets)  # `init` has to bring them
        directory = postgres.working_directory(settings) / "data"
        user = postgres.server_user()
        _, *parameters = service["command"]
        own = ["-D", str(directory), "-c", f"port={self.ports['postgres']}", "-c", "unix_socket_directories="]
        with (self.home / "postgres.out").open("wb") as log:
            self.running["postgres"] = subprocess.Popen(
                [str(postgres.binaries(settings) / "postgres"), *own, *parameters],
                stdout=log,
                stderr=subprocess.STDOUT,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
                cwd="/",
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self.wait_until_healthy("postgres", programs=postgres.binaries(settings))
        account = service["environment"]
        with psycopg.connect(
            host="127.0.0.1",
            port=self.ports["postgres"],
            user=account["POSTGRES_USER"],
            password=(self.given / "postgres_password").read_text(encoding="ascii"),
            dbname="postgres",
            autocommit=True,
        ) as connection:
            connection.execute(f"CREATE DATABASE {account['POSTGRES_DB']}")

    def wait_until_healthy(self, name: str, *, programs: Path = PROGRAMS, seconds: float = 300) -> None:
        """Return as soon as the file's own health check succeeds; one that did is not asked again."""
        if name in self.healthy:
            return
        kind, program, *arguments = SERVICES[name]["healthcheck"]["test"]
        assert kind == "CMD"
        environment = {"PGPORT": str(self.ports["postgres"])} if name == "postgres" else self.environment(name)
        deadline = time.monotonic() + seconds
        while True:
            done = subprocess.run(
                [str(programs / program), *arguments], env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                self.healthy.add(name)
                return
            ended = self.running[name].poll()
            if ended is not None or time.monotonic() > deadline:
                pytest.fail(f"{name} (exit status {ended}): {done.stderr.strip()}\n{self.output(name)}")
            time.sleep(1)

    def output(self, name: str) -> str:
        lines = (self.home / f"{name}.out").read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-30:])

    def stop(self) -> None:
        """End all of them at once, the database last."""
        others = [process for name, process in self.running.items() if name != "postgres"]
        for process in others:
            process.send_signal(signal.SIGTERM)
        for process in others:
            _end(process)
        if "postgres" in self.running:
            self.running["postgres"].send_signal(signal.SIGINT)
            _end(self.running["postgres"])


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    home = Path(tempfile.mkdtemp(prefix="mlforge-compose-"))
    home.chmod(0o711)
    for name in ("airflow", "bentoml", "cache", "gateway", "logs", "run", "storage"):
        (home / name).mkdir(mode=0o700)
    started = Containers(home)
    try:
        started.start_database()
        yield started
    finally:
        started.stop()
        shutil.rmtree(home, ignore_errors=True)


def in_order() -> list[str]:
    """Return the services so that each comes after those that it depends on."""
    ordered: list[str] = []
    while len(ordered) < len(SERVICES):
        ready = [
            name
            for name, service in SERVICES.items()
            if name not in ordered and set(service.get("depends_on", {})) <= set(ordered)
        ]
        assert ready, "the dependencies form a circle"
        ordered += ready
    return ordered


def test_every_service_of_the_file_starts_and_is_healthy(containers: Containers) -> None:
    assert in_order()[:2] == ["postgres", "init"]
    containers.start("init")
    assert containers.running.pop("init").wait(timeout=240) == 0, containers.output("init")
    names = [name for name in in_order() if name not in containers.running and name != "init"]
    for name in names:
        for needed, how in SERVICES[name]["depends_on"].items():
            if how["condition"] == "service_healthy" and needed != "postgres":
                containers.wait_until_healthy(needed)
        containers.start(name)
    for name in names:
        containers.wait_until_healthy(name)
    _init_again_changes_no_secret(containers)
    _the_scheduler_reaches_the_supervisor_of_release_servers(containers)


def _init_again_changes_no_secret(containers: Containers) -> None:
    secrets = containers.home / "secrets"
    before = {path.name: path.read_bytes() for path in secrets.iterdir()}
    containers.start("init")
    assert containers.running.pop("init").wait(timeout=120) == 0, containers.output("init")
    assert {path.name: path.read_bytes() for path in secrets.iterdir()} == before
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in secrets.iterdir())
    for name, secret in COMPOSE["secrets"].items():
        assert before[name].decode() == containers.variables[secret["environment"]]


def _the_scheduler_reaches_the_supervisor_of_release_servers(containers: Containers) -> None:
    code = (
        "from mlforge.services.supervision import Program, program_states, start_program, stop_program\n"
        "start_program(Program('probe', ['/bin/sleep', '300']))\n"
        "assert program_states()['probe'].running\n"
        "stop_program('probe')\n"
        "assert 'probe' not in program_states()\n"
    )
    environment = containers.environment("airflow-scheduler")
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
