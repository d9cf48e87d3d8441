from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlforge.features.store import store_config, store_environment
from mlforge.settings import Settings, get_settings


@pytest.fixture(autouse=True)
def _own_settings(installation: Settings) -> None:
    """Secrets of a test installation are generated, none is read."""


def _text() -> str:
    return (get_settings().root / "feature_repo" / "feature_store.yaml").read_text(encoding="utf-8")


def test_the_file_holds_no_secret_and_names_only_variables_that_are_given() -> None:
    named = set(re.findall(r"\$\{(\w+)\}", _text()))
    assert named == set(store_environment())
    assert re.findall(r"(?:password|user): (.*)", _text()) == [
        "${MLFORGE_FEAST_USER}", "${MLFORGE_FEAST_PASSWORD}"] * 2  # fmt: skip


def test_the_stages_read_what_the_command_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    from feast import RepoConfig
    from feast.repo_config import load_repo_config

    for name, value in store_environment().items():
        monkeypatch.setenv(name, value)
    path = get_settings().root / "feature_repo"
    by_command = load_repo_config(path, path / "feature_store.yaml")
    by_stages = RepoConfig(**store_config())
    assert by_command.offline_store.model_dump(exclude={"port"}) == by_stages.offline_store.model_dump(exclude={"port"})
    assert by_command.online_store == by_stages.online_store
    assert by_command.registry == by_stages.registry


def test_importing_the_room_costs_no_heavy_library() -> None:
    import subprocess
    import sys

    code = "import sys, mlforge.features; print([m for m in ('feast', 'pandas', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path("/"))
    assert done.stdout.strip() == "[]"
