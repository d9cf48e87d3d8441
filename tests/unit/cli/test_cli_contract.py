from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlforge.cli.contract_versions import read_version
from mlforge.cli.main import build_app
from mlforge.errors import SpecError
from mlforge.settings import Settings
from mlforge.spec import UseCase


@pytest.fixture
def repository(tmp_path: Path, flight_delays: UseCase) -> Path:
    """A Git repository with a contract, changed since its only commit."""
    text = flight_delays.contract("flights").path.read_text()
    file = tmp_path / "flights.yaml"
    file.write_text(text)
    for arguments in (
        ["init", "-q", "-b", "main"],
        ["add", "flights.yaml"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "first"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    file.write_text(text.replace("maximum: 6000}", "maximum: 5000}"))
    return file


def test_what_is_hit_is_told_also_without_a_database(
    repository: Path, flight_delays: UseCase, installation: Settings
) -> None:
    mine = str(flight_delays.contract("flights").path)
    done = CliRunner().invoke(build_app(), ["contract", "diff", str(repository), mine, "--json"])
    assert done.exit_code == 1, done.output  # a looser limit, but the same version
    told = json.loads(done.output)
    assert told["changes"][0]["what"] == "maximum is looser: 5000 → 6000"
    assert told["suggested"] == "2.1.0"
    assert told["hits"]["distance"]["inputs"] == ["route_delays__distance"]
    assert (told["live"]["known"], "PostgreSQL" in told["live"]["why_unknown"]) == (False, True)


def test_a_git_revision_is_compared(repository: Path, installation: Settings) -> None:
    done = CliRunner().invoke(build_app(), ["contract", "diff", f"main:{repository}", str(repository), "--json"])
    assert done.exit_code == 1
    told = json.loads(done.output)
    assert (told["old"], told["new"], told["suggested"], told["enough"]) == ("2.0.0", "2.0.0", "3.0.0", False)
    assert [(change["column"], change["breaking"]) for change in told["changes"]] == [("distance", True)]


def test_a_revision_that_there_is_not_is_an_error(repository: Path) -> None:
    with pytest.raises(SpecError, match="Git says"):
        read_version(f"nowhere:{repository}")
    with pytest.raises(SpecError, match="no Git revision"):
        read_version(f"--output=x:{repository}")
