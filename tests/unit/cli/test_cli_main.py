from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlforge.cli.main import build_app
from mlforge.services.environment import create_secrets
from mlforge.settings import Settings

HEAVY = ("airflow", "bentoml", "evidently", "feast", "great_expectations", "mlflow", "pandas", "pyarrow", "psycopg")


def _run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mlforge.cli.main", *arguments],
        env={"PATH": "/usr/bin:/bin", "MLFORGE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_the_commands() -> None:
    done = CliRunner().invoke(build_app(), ["--help"])
    assert done.exit_code == 0
    for name in ("up", "down", "status", "logs", "doctor"):
        assert name in done.output


def test_building_the_command_imports_nothing_heavy() -> None:
    check = (
        "import sys; from mlforge.cli.main import build_app; build_app(); "
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_an_error_of_ours_is_one_line_and_status_1(tmp_path: Path) -> None:
    done = _run(tmp_path, "logs", "nothing")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == ["there is no log of 'nothing' → name one of these"]


def test_a_setting_that_cannot_be_used_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlforge.cli.main", "status"],
        env={"PATH": "/usr/bin:/bin", "MLFORGE_AIRFLOW_PORT": "eighty"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "MLFORGE_AIRFLOW_PORT='eighty'" in done.stderr


def test_a_secret_is_written_bare(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    create_secrets(settings)
    done = _run(tmp_path, "service", "secret", "airflow_secret_key")
    assert done.stdout == settings.secret("airflow_secret_key")


def test_status_of_nothing_says_stopped(tmp_path: Path) -> None:
    done = _run(tmp_path, "status", "--json")
    assert done.returncode == 3
    assert '"state": "STOPPED"' in done.stdout
