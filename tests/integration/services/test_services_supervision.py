"""supervisord with PostgreSQL and a trivial program, in an installation of its own."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from mlforge import db
from mlforge.errors import MLForgeError, ServiceUnavailableError, SettingsError
from mlforge.services import doctor, health, lifecycle, postgres, programs
from mlforge.services.environment import create_secrets, public_environment
from mlforge.services.processes import installation_processes, listening_addresses
from mlforge.services.supervision import Program, program_states, start_program, stop_program
from mlforge.services.supervisord import start_supervisord, supervisord_pid
from mlforge.settings import Settings, get_settings

pytestmark = pytest.mark.integration


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def services() -> Iterator[Settings]:
    home = Path(tempfile.mkdtemp(prefix="mlforge-services-"))
    home.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MLFORGE_")]:
            patch.delenv(name)
        patch.setenv("MLFORGE_HOME", str(home))
        for name in ("POSTGRES", "AIRFLOW", "MLFLOW", "GATEWAY", "GATEWAY_ADMIN"):
            patch.setenv(f"MLFORGE_{name}_PORT", str(_free_port()))
        get_settings.cache_clear()
        settings = get_settings()
        create_secrets(settings)
        postgres.initialise(settings)
        start_supervisord(public_environment(settings))
        try:
            start_program(programs.program("postgres"), wait=False)
            health.wait_until_healthy(settings, ["postgres"], seconds=60)
            yield settings
        finally:
            lifecycle.down(lambda name: nullcontext())
            shutil.rmtree(home, ignore_errors=True)
    get_settings.cache_clear()


def _killed(name: str, pid: int) -> Callable[[], bool]:
    def back() -> bool:
        state = program_states()[name]
        return state.running and state.pid != pid

    return back


def test_a_program_that_is_killed_comes_back(services: Settings) -> None:
    pid = start_program(Program("sleeper", ["sleep", "1000"])).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _wait_until(_killed("sleeper", pid))
    stop_program("sleeper")
    assert "sleeper" not in program_states()


def test_a_changed_program_is_replaced_and_an_unchanged_one_left_alone(services: Settings) -> None:
    first = start_program(Program("sleeper", ["sleep", "1000"]))
    assert start_program(Program("sleeper", ["sleep", "1000"])).pid == first.pid
    assert start_program(Program("sleeper", ["sleep", "1001"])).pid != first.pid
    stop_program("sleeper")
    stop_program("sleeper")


def test_a_program_that_does_not_start_is_told_with_the_end_of_its_log(services: Settings) -> None:
    with pytest.raises(ServiceUnavailableError, match=r"broken does not start .*no such luck.*mlforge logs broken"):
        start_program(Program("broken", ["sh", "-c", "echo no such luck; exit 3"], start_retries=1))
    stop_program("broken")


def test_postgresql_recovers_from_a_kill(services: Settings) -> None:
    postgres.create_databases()
    with db.connect(autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    pid = program_states()["postgres"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _wait_until(_killed("postgres", pid))
    db.wait_until_ready()
    with db.connect() as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_no_secret_is_in_an_argument_list_a_log_or_supervisors_files(services: Settings) -> None:
    secrets = {path.read_text() for path in services.secrets_dir.iterdir()}
    assert {path.stat().st_mode & 0o777 for path in services.secrets_dir.iterdir()} == {0o600}
    pid = supervisord_pid(services)
    assert pid is not None
    seen = [Path(f"/proc/{pid}/environ").read_text(errors="replace")]
    seen += [" ".join(process.cmdline()) for process in installation_processes(services)]
    for folder in ("run", "logs"):
        seen += [path.read_text(errors="replace") for path in (services.home / folder).rglob("*") if path.is_file()]
    assert not [text[:80] for text in seen for secret in secrets if secret in text]


def test_postgresql_listens_on_the_loopback_only(services: Settings) -> None:
    pid = program_states()["postgres"].pid
    assert pid is not None
    assert listening_addresses(pid) == [f"127.0.0.1:{services.postgres_port}"]


def test_our_own_port_counts_as_ours(services: Settings) -> None:
    details = {finding.check: finding for finding in doctor.check_ports(services)}
    assert details[f"port {services.postgres_port}"].problem is None
    assert "ours" in details[f"port {services.postgres_port}"].detail


def test_other_settings_than_the_running_services_are_refused(
    services: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle.remember_settings(services)
    monkeypatch.setenv("MLFORGE_AIRFLOW_PORT", str(_free_port()))
    get_settings.cache_clear()
    try:
        with pytest.raises(SettingsError, match="run with other settings"):
            lifecycle.up(lambda name: nullcontext())
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()


def test_down_leaves_nothing_even_when_supervisord_was_killed(services: Settings) -> None:
    start_program(Program("sleeper", ["sh", "-c", "trap '' TERM; sleep 1000 & wait; sleep 1000"]))
    pid = supervisord_pid(services)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _wait_until(lambda: supervisord_pid(services) is None)
    assert installation_processes(services)
    with pytest.raises(SettingsError, match="left processes behind"):
        doctor.check_supervisord(services)
    assert lifecycle.down(lambda name: nullcontext()) > 0
    assert installation_processes(services) == []
    with pytest.raises(MLForgeError, match="run `mlforge up`"):
        program_states()
