"""Whatever kills a promoter, and however many promote at once: one champion that loads and has passed the gate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlflow_server import artifact_folder
from mlforge import db, registry
from mlforge.db import ledger
from mlforge.errors import PromotionError
from mlforge.models import load_model
from mlforge.models.copies import bento_model_folder, cache_folder, forget_cached
from mlforge.refs import Candidate, GateDecision, Release
from mlforge.registry.model_registry import ModelRegistry, version_of
from mlforge.registry.repairs import list_repairs
from mlforge.settings import Settings
from mlforge.spec import UseCase, load_use_case
from processes import die_with_parent
from release_parts import decide, make_candidate

pytestmark = pytest.mark.integration
NAME = "flight_delays"


class Promoters:
    """Promoters in processes of their own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parents[1] / "promoter.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(os.environ),
            text=True,
            preexec_fn=die_with_parent,
        )

    def run(self, *decisions: GateDecision, kill_before: int = 0) -> list[dict[str, Any]]:
        """Promote all at once and return what became of each."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        asked = {"promotions": [decision.dump() for decision in decisions], "kill_before": kill_before}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        outcomes: list[dict[str, Any]] = json.loads(self.process.stdout.readline())
        return outcomes


@pytest.fixture(scope="module")
def promoters(mlflow_server: Settings, postgres_server: Settings) -> Iterator[Promoters]:
    """One parent of all promoters of this module: it imports only once."""
    running = Promoters()
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


@pytest.fixture(scope="module")
def candidates(mlflow_server: Settings) -> list[Candidate]:
    """Three models that differ."""
    return [make_candidate(rounds) for rounds in (2, 3, 4)]


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    """The shipped use case."""
    return load_use_case(NAME)


def promote(use_case: UseCase, candidate: Candidate) -> Release:
    return registry.promote_candidate(use_case, decide(candidate), who="ann", why="next")


def champion_that_serves(use_case: UseCase) -> Release:
    """Return the champion after checking that it is the only one, was passed by the gate, loads and scores."""
    with db.connect() as connection:
        records = ledger.journal(connection, NAME)
        assert [record.sequence for record in records] == list(range(1, len(records) + 1))
        newest = records[-1]
        row = connection.execute(
            "SELECT passed, model_version FROM ledger.gate_decisions WHERE decision_id = %s", [newest.decision_id]
        ).fetchone()
    assert row == (True, newest.release.model_version)
    model = load_model(use_case, newest.release.uri)
    assert model.content_hash == newest.release.content_hash
    assert np.isfinite(model.score({name: [None] for name in model.feature_names})).all()
    return newest.release


def shown(use_case: UseCase) -> tuple[str, list[str]]:
    """Return the address of the model that MLflow's alias stands for, and of those that its tags call champion."""
    mlflow_side = ModelRegistry(use_case)
    versions = mlflow_side.versions()
    named = {version.number: version.uri for version in versions}
    number = mlflow_side.alias()
    return (
        named[number] if number is not None else "",
        [version.uri for version in versions if version.tags.get("mlforge.state") == "champion"],
    )


def follows(use_case: UseCase, champion: Release) -> None:
    assert shown(use_case) == (champion.uri, [champion.uri])


@pytest.mark.parametrize("earlier", [0, 1])
def test_a_promoter_is_killed_before_each_of_its_effects(
    database: Settings, use_case: UseCase, candidates: list[Candidate], promoters: Promoters, earlier: int
) -> None:
    """Each round promotes the model that is not champion; without an earlier champion only up to its own release.

    With one, the rounds start shortly before the commit: what comes earlier is the same as without.
    """
    before = promote(use_case, candidates[0]) if earlier else None
    kills = 5 if earlier else 0
    while True:
        kills += 1
        standing = before is not None and before.uri == candidates[1].uri
        candidate = candidates[0] if standing else candidates[1]
        decision = decide(candidate)
        (outcome,) = promoters.run(decision, kill_before=kills)
        if before is None and ledger.champion(NAME) is None:
            assert outcome["killed"]
            with pytest.raises(PromotionError, match="no earlier release"):
                registry.rollback_release(use_case, who="ann", why="nothing there")
            continue
        champion = champion_that_serves(use_case)
        assert champion.uri in {candidate.uri, before.uri if before else candidate.uri}
        registry.reconcile_releases(use_case)
        follows(use_case, champion)
        again = registry.promote_candidate(use_case, decision, who="bob", why="once more")
        assert again == champion_that_serves(use_case)
        assert again.uri == candidate.uri
        assert again.parent_id == (before.release_id if before else None)
        if champion.uri == candidate.uri:
            assert again == champion
        follows(use_case, again)
        before = again
        # Without an earlier champion the rest is as with one.
        if not outcome["killed"] or not earlier:
            break
    assert kills > (20 if earlier else 5)


def test_of_many_promoters_at_once_one_wins_and_the_others_hear_who(
    database: Settings, use_case: UseCase, candidates: list[Candidate], promoters: Promoters
) -> None:
    for _ in range(2):
        outcomes = promoters.run(*[decide(candidate) for candidate in candidates])
        winners = [outcome for outcome in outcomes if "release" in outcome]
        losers = [outcome["error"] for outcome in outcomes if "error" in outcome]
        champion = champion_that_serves(use_case)
        if len(winners) == 2:
            # The champion's own model was among them: it stays what it is, or is champion again of nothing new.
            assert {winner["release"] for winner in winners} <= {1, champion.release_id}
        assert len(winners) + len(losers) == 3
        assert losers
        winner = next(each for each in winners if each["release"] == champion.release_id)
        named = f"{winner['who']} promoted version {champion.model_version}"
        assert all(named in error for error in losers)
        follows(use_case, champion)


def artifacts_of(installation: Settings, uri: str) -> Path:
    (folder,) = artifact_folder(installation).glob(f"*/models/{uri.removeprefix('models:/')}/artifacts")
    return folder


def lay_into_bento(release: Release) -> None:
    """Put the model where packaging puts it."""
    shutil.copytree(cache_folder(release.uri), bento_model_folder(release.bento), dirs_exist_ok=True)


@pytest.mark.parametrize("what", ["the folder", "the model's file", "the file's end"])
def test_files_deleted_by_hand_come_back_from_the_bento(
    database: Settings, use_case: UseCase, candidates: list[Candidate], what: str
) -> None:
    champion = promote(use_case, candidates[0])
    champion_that_serves(use_case)
    lay_into_bento(champion)
    folder = artifacts_of(database, champion.uri)
    if what == "the folder":
        shutil.rmtree(folder)
    elif what == "the model's file":
        (folder / "model.ubj").unlink()
    else:
        content = (folder / "model.ubj").read_bytes()
        (folder / "model.ubj").write_bytes(content[: len(content) // 2])
    forget_cached(champion.uri)
    assert champion_that_serves(use_case) == champion
    forget_cached(champion.uri)
    (repair,) = registry.reconcile_releases(use_case, who="nightly")
    assert repair.what == "artifact"
    assert f"restored from the bento {champion.bento}" in repair.message
    assert list_repairs(NAME)[0].message == repair.message
    assert (folder / "model.ubj").read_bytes() == (bento_model_folder(champion.bento) / "model.ubj").read_bytes()
    assert registry.reconcile_releases(use_case) == ()


def test_what_nobody_has_a_copy_of_is_said_and_a_rollback_passes_over_it(
    database: Settings, use_case: UseCase, candidates: list[Candidate]
) -> None:
    first, gone, champion = (promote(use_case, candidate) for candidate in candidates)
    kept = {}
    for release in (gone, champion):
        folder = artifacts_of(database, release.uri)
        kept[folder] = shutil.copytree(folder, database.home / "kept" / release.uri.rsplit("/", 1)[1])
        shutil.rmtree(folder)
        forget_cached(release.uri)
        shutil.rmtree(bento_model_folder(release.bento), ignore_errors=True)
    try:
        ModelRegistry(use_case).set_alias(None)
        with pytest.raises(PromotionError, match=r"gone from MLflow.*models rollback"):
            registry.reconcile_releases(use_case)
        # All else was put right, and is written down.
        assert shown(use_case)[0] == champion.uri
        assert [row.what for row in list_repairs(NAME)] == ["alias"]
        back = registry.rollback_release(use_case, who="ann", why="its files are gone")
        assert back.uri == first.uri
        assert f"passed over, as they do not load: release {gone.release_id}" in ledger.list_releases(NAME)[0].why
        follows(use_case, champion_that_serves(use_case))
        with pytest.raises(PromotionError, match="no earlier release"):
            registry.rollback_release(use_case, who="ann", why="further")
    finally:
        for folder, copy in kept.items():
            shutil.copytree(copy, folder)
            shutil.rmtree(copy)


def test_a_copy_that_is_not_what_was_released_is_not_used(
    database: Settings, use_case: UseCase, candidates: list[Candidate]
) -> None:
    from mlforge.errors import TerminalError

    other, champion = promote(use_case, candidates[1]), promote(use_case, candidates[0])
    shutil.rmtree(bento_model_folder(champion.bento), ignore_errors=True)
    shutil.copytree(cache_folder(other.uri), bento_model_folder(champion.bento))
    folder = artifacts_of(database, champion.uri)
    kept = shutil.copytree(folder, database.home / "kept-one")
    shutil.rmtree(folder)
    forget_cached(champion.uri)
    try:
        with pytest.raises(TerminalError):
            load_model(use_case, champion.uri)
    finally:
        shutil.copytree(kept, folder)
        shutil.rmtree(kept)
        shutil.rmtree(bento_model_folder(champion.bento))


def test_a_version_deleted_by_hand_is_registered_again(
    database: Settings, use_case: UseCase, candidates: list[Candidate]
) -> None:
    from mlflow import MlflowClient

    champion = promote(use_case, candidates[2])
    present = version_of(ModelRegistry(use_case).versions(), champion)
    assert present is not None
    MlflowClient().delete_model_version(NAME, str(present.number))
    repairs = registry.reconcile_releases(use_case)
    assert [repair.what for repair in repairs] == ["version", "alias"]
    assert f"version {champion.model_version}, the champion, was deleted from MLflow" in repairs[0].message
    follows(use_case, champion)
    assert registry.reconcile_releases(use_case) == ()


def test_a_logged_model_deleted_by_hand_is_logged_again(
    database: Settings, use_case: UseCase, mlflow_server: Settings
) -> None:
    from mlflow import MlflowClient

    champion = promote(use_case, make_candidate(5))
    load_model(use_case, champion.uri)
    MlflowClient().delete_logged_model(champion.uri.removeprefix("models:/"))
    repairs = registry.reconcile_releases(use_case)
    assert [repair.what for repair in repairs] == ["artifact", "version", "alias"]
    follows(use_case, champion)
    assert registry.reconcile_releases(use_case) == ()
    # On a machine that has no copy the one in MLflow is found by the tag.
    forget_cached(champion.uri)
    assert load_model(use_case, champion.uri).content_hash == champion.content_hash
