from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mlforge.errors import SettingsError
from mlforge.services import doctor
from mlforge.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def test_a_taken_port_names_its_holder_and_the_variable(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        findings = list(doctor.check_ports(Settings(home=tmp_path, airflow_port=port)))
    (problem,) = [finding.problem for finding in findings if finding.check == f"port {port}"]
    assert problem is not None
    assert f"port {port} is taken by" in str(problem)
    assert f"pid {os.getpid()}" in str(problem)
    assert "set MLFORGE_AIRFLOW_PORT" in str(problem)
    assert "\n" not in str(problem)


def test_one_port_for_two_services_is_told(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, airflow_port=23456, mlflow_port=23456)
    problems = [str(finding.problem) for finding in doctor.check_ports(settings) if finding.problem]
    assert any("MLFORGE_AIRFLOW_PORT and MLFORGE_MLFLOW_PORT are both 23456" in problem for problem in problems)


def test_a_service_elsewhere_needs_no_port_here(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, database_url="postgresql://u@db:5432", mlflow_url="http://mlflow:5000")
    assert set(doctor.ports(settings)) == {"MLFORGE_AIRFLOW_PORT", "MLFORGE_GATEWAY_PORT", "MLFORGE_GATEWAY_ADMIN_PORT"}


def test_too_little_space_is_told_with_the_place(settings: Settings) -> None:
    with pytest.raises(SettingsError, match=r"GB are free .* MLFORGE_HOME"):
        doctor.check_space(settings, needed_bytes=10**18)
    assert doctor.check_space(settings, needed_bytes=1)


def test_a_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(SettingsError, match=r"Not a directory .* set MLFORGE_HOME"):
        doctor.check_home(Settings(home=tmp_path / "home"))


def test_a_directory_that_cannot_be_written_is_told() -> None:
    with pytest.raises(SettingsError, match=r"cannot write to the data directory /sys/mlforge: .* set MLFORGE_HOME"):
        doctor.check_home(Settings(home=Path("/sys/mlforge")))


def test_a_directory_of_someone_else_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.home.mkdir()
    monkeypatch.setattr(doctor.os, "geteuid", lambda: 4242)
    with pytest.raises(SettingsError, match=r"belongs to user \d+, not to user 4242"):
        doctor.check_home(settings)


def test_a_missing_library_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "feast" else object())
    with pytest.raises(SettingsError, match=r"libraries are missing \(feast\) → run `make install`"):
        doctor.check_libraries(settings)


def test_a_pid_file_without_a_process_is_harmless(settings: Settings) -> None:
    (settings.home / "run").mkdir(parents=True)
    (settings.home / "run" / "supervisord.pid").write_text("4194000\n")
    assert "stale" in doctor.check_supervisord(settings)


def test_all_checks_give_one_finding_each(settings: Settings) -> None:
    findings = doctor.examine(settings)
    assert {"Python", "libraries", "data directory", "free space", "supervisord"} <= {item.check for item in findings}
