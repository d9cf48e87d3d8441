"""The command `mlforge init`: what it shows, what it writes, and what it leaves alone."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from mlforge.cli.init import _ask
from mlforge.cli.main import build_app
from mlforge.errors import SpecError
from mlforge.scaffold import Wishes, read_file
from mlforge.scaffold.inference import target_candidates
from mlforge.scaffold.tables import is_database
from mlforge.spec import load_use_case
from scaffold_roots import own_root


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    with own_root(tmp_path / "checkout") as folder:
        yield folder


@pytest.fixture
def source(tmp_path: Path) -> str:
    random = np.random.default_rng(7)
    days = pd.date_range("2026-01-01", periods=30, freq="D").repeat(20)
    frame = pd.DataFrame(
        {
            "day": days.strftime("%Y-%m-%d"),
            "machine": np.tile([f"M{number}" for number in range(20)], 30),
            "heat": np.round(random.normal(60, 9, 600), 1),
        }
    )
    frame["failed"] = (random.random(600) < 1 / (1 + np.exp(-(frame["heat"] - 68) / 5))).astype(int)
    frame.to_csv(tmp_path / "machines.csv", index=False)
    return str(tmp_path / "machines.csv")


def init(*arguments: str) -> Result:
    return CliRunner().invoke(build_app(), ["init", *arguments])


def test_it_writes_a_use_case_that_loads_and_says_what_is_next(root: Path, source: str) -> None:
    result = init("failures", "--from", source, "--target", "failed", "--owner", "ann")
    assert result.exit_code == 0, result.output
    use_case = load_use_case("failures")
    assert use_case.owner == "ann"
    assert use_case.prediction.key == ["day", "machine"]
    assert use_case.prediction.labels == ["not_failed", "failed"]
    assert "mlforge stage publish --use-case failures --from 2026-01-01 --to 2026-01-30" in result.output
    assert (root / "dags/failures.py").is_file()
    readme = (use_case.folder / "README.md").read_text()
    assert "mlforge stage roll-out --use-case failures" in readme


def test_a_dry_run_writes_nothing(root: Path, source: str) -> None:
    before = sorted(root.rglob("*"))
    result = init("failures", "--from", source, "--target", "failed", "--dry-run")
    assert result.exit_code == 0
    assert "Nothing was written" in result.output
    assert "dags/failures.py" in result.output
    assert sorted(root.rglob("*")) == before


def test_what_is_there_is_overwritten_only_by_force(root: Path, source: str) -> None:
    assert init("failures", "--from", source, "--target", "failed").exit_code == 0
    path = root / "include/use_cases/failures/use_case.yaml"
    path.write_text("mine")
    (root / "dags/failures.py").unlink()
    result = init("failures", "--from", source, "--target", "failed")
    assert isinstance(result.exception, SpecError)
    assert "include/use_cases/failures/use_case.yaml" in str(result.exception)
    assert path.read_text() == "mine"
    assert not (root / "dags/failures.py").exists()
    assert init("failures", "--from", source, "--target", "failed", "--force").exit_code == 0
    assert yaml.safe_load(path.read_text())["name"] == "failures"


def test_without_a_terminal_the_target_must_be_named(root: Path, source: str) -> None:
    result = init("failures", "--from", source)
    assert isinstance(result.exception, SpecError)
    assert "--target 'failed'" in str(result.exception)


def test_at_a_terminal_the_target_is_asked_for(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "1")
    shown = io.StringIO()
    found = target_candidates(read_file(source), Wishes())
    assert _ask(Console(file=shown), found) == "failed"
    assert "1  failed: integer, 2 values" in shown.getvalue()


def test_a_database_needs_a_table(root: Path) -> None:
    result = init("failures", "--from", "postgresql://localhost/shop", "--target", "failed")
    assert isinstance(result.exception, SpecError)
    assert "--table schema.table" in str(result.exception)


def test_addresses_of_databases_and_of_files_are_told_apart() -> None:
    assert is_database("postgresql://localhost/shop")
    assert is_database("mysql://localhost/shop")
    assert not any(map(is_database, ("s3://bucket/a.csv", "/data/a.csv", "warehouse", "package:shop/a.csv")))


def test_the_templates_are_part_of_the_package() -> None:
    names = {entry.name for entry in files("mlforge.scaffold.templates").iterdir()}
    assert {
        "model.py.txt",
        "feature_repo.py.txt",
        "dag.py.txt",
        "spine.sql.txt",
        "view.sql.txt",
        "README.md.txt",
    } <= names
