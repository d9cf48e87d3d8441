from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flight_examples import make_training_set
from mlforge import training
from mlforge.cli.main import build_app
from mlforge.errors import TerminalError
from mlforge.refs import Candidate
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase, load_use_case
from mlforge.spec.module import read_model_module
from mlforge.training.reproduce import Reproduction, read_recorded, reproduce_model

pytestmark = pytest.mark.integration

NAME = "flight_delays"


@pytest.fixture(scope="module")
def project(mlflow_server: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout whose use case may be changed: what a candidate is made from, copied."""
    root = tmp_path_factory.mktemp("project")
    here = get_settings().root
    for folder in ("include/use_cases", "feature_repo"):
        shutil.copytree(here / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(here / "uv.lock", root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFORGE_ROOT", str(root))
        get_settings.cache_clear()
        _edit(root, "minimum_rows: 5000", "minimum_rows: 100")
        _edit(root, "n_estimators: 600", "n_estimators: 15")
        yield root
    get_settings.cache_clear()
    _forget()


def _edit(root: Path, old: str, new: str, file: str = "use_case.yaml") -> None:
    path = root / "include" / "use_cases" / NAME / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    _forget()


def _forget() -> None:
    """Read files anew, as another process would."""
    for cached in (load_use_case, read_model_module):
        cached.cache_clear()


@pytest.fixture(scope="module")
def candidate(project: Path) -> Candidate:
    use_case = load_use_case(NAME)
    return training.train_candidate(use_case, make_training_set(use_case, last="2013-02-20", days=40))


def _reproduce(candidate: Candidate) -> Reproduction:
    use_case: UseCase = load_use_case(NAME)
    return reproduce_model(use_case, read_recorded(use_case, candidate.model_version))


def test_a_model_that_is_trained_again_has_the_same_bytes(candidate: Candidate) -> None:
    done = CliRunner().invoke(build_app(), ["reproduce", str(candidate.model_version), "-u", NAME, "--json"])
    assert done.exit_code == 0
    document = json.loads(done.stdout)
    assert document["same"] is True
    assert document["hash"] == candidate.content_hash == document["recorded_hash"]
    assert document["inputs"] == {}


def test_what_differs_is_named_first_among_the_inputs_then_in_the_model(project: Path, candidate: Candidate) -> None:
    _edit(project, "validation_days: 10", "validation_days: 8")
    _edit(project, "tree_method=", "gamma=0.5, tree_method=", "model.py")
    (project / "uv.lock").write_text("another lock", encoding="utf-8")
    try:
        done = _reproduce(candidate)
        told = CliRunner().invoke(build_app(), ["reproduce", str(candidate.model_version), "-u", NAME])
    finally:
        _edit(project, "validation_days: 8", "validation_days: 10")
        _edit(project, "gamma=0.5, ", "", "model.py")
        shutil.copy(Path(__file__).parents[3] / "uv.lock", project)
    assert not done.same
    assert {"settings", "model", "lock"} == set(done.recorded.differing)
    assert any(part.startswith("model.ubj: ") for part in done.parts)
    assert any(part.startswith("calibration: ") for part in done.parts)
    assert any(hint.startswith("uv sync --frozen") for hint in done.recorded.hints)
    assert told.exit_code == 1
    assert told.stdout.index("inputs that differ") < told.stdout.index("another model")


def test_an_input_that_changes_nothing_is_named_and_the_bytes_are_the_same(project: Path, candidate: Candidate) -> None:
    _edit(project, "test_days: 7", "test_days: 7\n  minimum_rows: 101")
    _edit(project, "  minimum_rows: 100\n", "")
    try:
        done = _reproduce(candidate)
    finally:
        _edit(project, "  minimum_rows: 101", "  minimum_rows: 100")
    assert done.same
    assert set(done.recorded.differing) == {"settings"}


def test_a_snapshot_that_is_gone_or_changed_is_a_clear_error(candidate: Candidate) -> None:
    path = Path(candidate.training_set.uri.removeprefix("file://"))
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-1])
        with pytest.raises(TerminalError, match="its hash differs"):
            _reproduce(candidate)
        path.unlink()
        with pytest.raises(TerminalError, match=r"the snapshot that it was trained on is gone .* bring the file back"):
            _reproduce(candidate)
    finally:
        path.write_bytes(content)


def test_a_version_that_does_not_exist_is_a_clear_error(candidate: Candidate) -> None:
    with pytest.raises(TerminalError, match="flight_delays, version 99999: the model version cannot be found"):
        read_recorded(load_use_case(NAME), 99999)
