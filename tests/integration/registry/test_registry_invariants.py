"""Whatever people and promoters do, in whatever order: one champion that loads, and MLflow shows it after a check."""

from __future__ import annotations

import shutil

import hypothesis
import pytest
from hypothesis import strategies as st

from mlflow_server import artifact_folder
from mlforge import db, registry
from mlforge.db import ledger
from mlforge.errors import PromotionError
from mlforge.models import load_model
from mlforge.refs import Candidate
from mlforge.registry.model_registry import ModelRegistry, version_of
from mlforge.registry.versioning import SemanticVersion
from mlforge.settings import Settings
from mlforge.spec import UseCase, load_use_case
from release_parts import decide, make_candidate

pytestmark = pytest.mark.integration
NAME = "flight_delays"
STEPS = ("promote", "promote", "rollback", "move alias", "take alias", "delete version", "delete files", "reconcile")


@pytest.fixture(scope="module")
def candidates(mlflow_server: Settings) -> list[Candidate]:
    """Three models: the first, of other settings, of other features."""
    return [make_candidate(2), make_candidate(3, settings="s2"), make_candidate(4, features="f2")]


def act(step: str, choice: int, use_case: UseCase, candidates: list[Candidate], installation: Settings) -> None:
    from mlflow import MlflowClient

    shelf, client = ModelRegistry(use_case), MlflowClient()
    if step == "promote":
        registry.promote_candidate(use_case, decide(candidates[choice]), who="ann", why="next")
    elif step == "rollback":
        try:
            registry.rollback_release(use_case, who="bob", why="back")
        except PromotionError as error:
            assert "no earlier release" in str(error)  # noqa: PT017
    elif step == "reconcile":
        registry.reconcile_releases(use_case)
    elif step in {"move alias", "take alias"}:
        versions = shelf.versions()
        shelf.set_alias(versions[choice % len(versions)].number if step == "move alias" else None)
    elif step == "delete version":
        versions = shelf.versions()
        if len(versions) > 1:
            client.delete_model_version(NAME, str(versions[choice % len(versions)].number))
    else:
        model = candidates[choice].uri.removeprefix("models:/")
        load_model(use_case, candidates[choice].uri)
        for folder in artifact_folder(installation).glob(f"*/models/{model}/artifacts"):
            shutil.rmtree(folder)


def check(use_case: UseCase) -> None:
    with db.connect() as connection:
        records = ledger.journal(connection, NAME)
        passed = connection.execute(
            "SELECT bool_and(passed) FROM ledger.releases JOIN ledger.gate_decisions USING (decision_id)"
        ).fetchone()
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    assert [record.release.parent_id for record in records[1:]] == [r.release.release_id for r in records[:-1]]
    if not records:
        return
    assert passed == (True,)
    champion = records[-1].release
    assert load_model(use_case, champion.uri).content_hash == champion.content_hash
    named: dict[str, str] = {}
    for record in records:
        assert named.setdefault(record.release.uri, record.version) == record.version
    assert len(set(named.values())) == len(named)
    assert all(SemanticVersion.parse(version) >= (1, 0, 0) for version in named.values())


@hypothesis.settings(
    max_examples=4,
    deadline=None,
    # No example can be tried twice: the journal and MLflow have gone on.
    phases=[hypothesis.Phase.generate],
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
@hypothesis.given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2)), min_size=4, max_size=9))
def test_there_is_always_one_champion_that_loads(
    module_database: Settings, candidates: list[Candidate], steps: list[tuple[str, int]]
) -> None:
    """Each example goes on where the one before stopped: the journal has a longer past then."""
    use_case = load_use_case(NAME)
    for step, choice in steps:
        act(step, choice, use_case, candidates, module_database)
        check(use_case)
    registry.reconcile_releases(use_case)
    champion = ledger.champion(NAME)
    shelf = ModelRegistry(use_case)
    shown = version_of(shelf.versions(), champion) if champion else None
    assert shelf.alias() == (shown.number if shown else None)
    if champion:
        tagged = [version for version in shelf.versions() if version.tags.get("mlforge.state") == "champion"]
        assert [version.uri for version in tagged] == [champion.uri]
    assert registry.reconcile_releases(use_case) == ()
