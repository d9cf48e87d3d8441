from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from flight_examples import make_training_set
from mlforge import db, registry, storage, training
from mlforge.db import ledger
from mlforge.errors import PromotionError
from mlforge.refs import Candidate, GateDecision, Release
from mlforge.registry import journal
from mlforge.settings import Settings
from mlforge.spec import UseCase, load_use_case

pytestmark = pytest.mark.integration

PARAMETERS: dict[str, Any] = {"n_estimators": 60, "learning_rate": 0.2, "max_depth": 3}


def changed(**parameters: Any) -> UseCase:
    use_case = load_use_case("flight_delays")
    settings = {"minimum_rows": 100, "parameters": {**PARAMETERS, **parameters}}
    # Plain rules: how the shipped ones are set is no matter here, and the ledger has no publications of these examples.
    gates = {"beat_baselines": ["base_rate"], "maximum_calibration_error": 0.2, "non_inferiority_margin": 0.002}
    gates |= {"resample": "row", "segments": [], "mcnemar_alpha": None}
    gates |= {"maximum_quarantined": None, "maximum_drifted": None, "maximum_latency_ms": None}
    return use_case.model_copy(
        update={
            "training": use_case.training.model_copy(update=settings),
            "gates": use_case.gates.model_copy(update=gates),
        }
    )


def make_candidate(**parameters: Any) -> Candidate:
    use_case = changed(**parameters)
    training_set = make_training_set(use_case, last="2013-04-21")
    return training.evaluate_candidate(use_case, training.train_candidate(use_case, training_set))


@pytest.fixture(scope="module")
def use_case() -> UseCase:
    return changed()


@pytest.fixture(scope="module")
def good(mlflow_server: Settings) -> Candidate:
    return make_candidate()


@pytest.fixture(scope="module")
def equal(mlflow_server: Settings) -> Candidate:
    """The same model, trained from another seed of the same settings."""
    return make_candidate(random_state=1)


@pytest.fixture(scope="module")
def worse(mlflow_server: Settings) -> Candidate:
    """A model of a single stump that cannot learn."""
    return make_candidate(n_estimators=1, max_depth=1)


def promote(use_case: UseCase, candidate: Candidate, who: str = "ann") -> Release:
    decision = registry.gate_candidate(use_case, candidate)
    return registry.promote_candidate(use_case, decision, who=who, why=f"version {candidate.model_version}")


def alias(name: str = "flight_delays") -> str | None:
    from mlflow import MlflowClient

    found = MlflowClient().get_registered_model(name).aliases.get("champion")
    return None if found is None else str(found)


def count(table: str) -> int:
    with db.connect() as connection:
        row = connection.execute(f"SELECT count(*) FROM ledger.{table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_a_first_candidate_that_beats_the_base_rate_becomes_champion(
    database: Settings, use_case: UseCase, good: Candidate
) -> None:
    assert ledger.champion("flight_delays") is None
    decision = registry.gate_candidate(use_case, good)
    assert decision.passed, decision.reasons
    card = storage.read_bytes(decision.uri, content_hash=decision.content_hash).decode()
    assert f"version {good.model_version} passed" in card
    assert "logistic regression" in card
    release = registry.promote_candidate(use_case, decision, who="ann", why="first", run_id="run_1")
    assert release == ledger.champion("flight_delays") == ledger.release(release.release_id)
    assert ledger.release_training_set(release.release_id) == good.training_set
    assert release.bento == f"flight_delays:v{good.model_version}-r1"
    assert release.parent_id is None
    assert alias() == str(good.model_version)


def test_the_gate_asked_again_writes_nothing_new(database: Settings, use_case: UseCase, good: Candidate) -> None:
    first = registry.gate_candidate(use_case, good)
    assert registry.gate_candidate(use_case, good) == first
    assert registry.find_decision(use_case, good.model_version) == first
    assert GateDecision.load(first.dump()) == first
    assert count("gate_decisions") == 1


def test_an_equal_candidate_passes_and_a_worse_one_is_refused(
    database: Settings, use_case: UseCase, good: Candidate, equal: Candidate, worse: Candidate
) -> None:
    release = promote(use_case, good)
    same = registry.gate_candidate(use_case, good)
    assert same.passed
    assert same.champion_release == release.release_id
    lenient = use_case.gates.model_copy(update={"non_inferiority_margin": 0.02})
    assert registry.gate_candidate(use_case.model_copy(update={"gates": lenient}), equal).passed
    refused = registry.gate_candidate(use_case, worse)
    assert not refused.passed
    assert any("of release" in reason for reason in refused.reasons)
    with pytest.raises(PromotionError, match="the gate refused version"):
        registry.promote_candidate(use_case, refused, who="ann", why="all the same")
    assert ledger.champion("flight_delays") == release


def test_a_decision_that_the_ledger_does_not_have_is_refused(
    database: Settings, use_case: UseCase, worse: Candidate
) -> None:
    strict = use_case.gates.model_copy(update={"maximum_calibration_error": 1e-9})
    refused = registry.gate_candidate(use_case.model_copy(update={"gates": strict}), worse)
    assert not refused.passed
    forged = refused.model_copy(update={"passed": True})
    with pytest.raises(PromotionError, match="newest decision about version"):
        registry.promote_candidate(use_case, forged, who="eve", why="trust me")
    assert count("releases") == 0


def test_promoting_again_is_no_new_release(database: Settings, use_case: UseCase, good: Candidate) -> None:
    release = promote(use_case, good)
    assert promote(use_case, good, who="bob") == release
    assert count("releases") == 1


def test_of_two_promoters_one_wins_and_the_other_hears_who(
    database: Settings, use_case: UseCase, good: Candidate, equal: Candidate
) -> None:
    decisions = {"ann": registry.gate_candidate(use_case, good), "bob": registry.gate_candidate(use_case, equal)}
    assert all(decision.passed for decision in decisions.values())

    def attempt(who: str) -> Release | PromotionError:
        try:
            return registry.promote_candidate(use_case, decisions[who], who=who, why="mine")
        except PromotionError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        outcomes = dict(zip(decisions, pool.map(attempt, decisions), strict=True))
    releases = {who: outcome for who, outcome in outcomes.items() if isinstance(outcome, Release)}
    errors = [outcome for outcome in outcomes.values() if isinstance(outcome, PromotionError)]
    assert len(releases) == len(errors) == count("releases") == 1
    winner, release = releases.popitem()
    assert f"{winner} promoted version {release.model_version}" in str(errors[0])
    assert alias() == str(release.model_version)


def test_the_ledger_refuses_a_second_follower_even_without_the_lock(
    database: Settings, use_case: UseCase, good: Candidate
) -> None:
    promote(use_case, good)
    record = ledger.list_releases("flight_delays")[0]
    values = {
        "partition_key": "2013-04-21",
        "model_name": "flight_delays",
        "model_version": 1,
        "model_uri": good.uri,
        "mlflow_run_id": good.run_id,
        "content_hash": good.content_hash,
        "decision_id": None,
        "feature_service": "flight_delays",
        "training_set": {},
        "evidence": {},
        "traffic_plan": {},
        "code_version": "",
        "version": "1.0.0",
        "fingerprints": {},
        "run_id": None,
        "who": "eve",
        "why": "",
    }
    with db.connect() as connection, pytest.raises(PromotionError, match="another release came first"):
        journal.append_promotion(connection, "flight_delays", None, values)
    assert ledger.list_releases("flight_delays") == [record]
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"), db.connect() as connection:
        connection.execute("DELETE FROM ledger.releases")


KILLED = """
import os, signal, sys
from mlforge import refs, registry
from mlforge.registry import promote
from mlforge.spec import load_use_case
promote.follow_release = lambda use_case, **_: os.kill(os.getpid(), signal.SIGKILL)
decision = refs.GateDecision.model_validate_json(sys.stdin.read())
registry.promote_candidate(load_use_case("flight_delays"), decision, who="ann", why="killed")
"""


def test_a_promoter_that_is_killed_before_the_alias_is_repaired(
    database: Settings, use_case: UseCase, good: Candidate, equal: Candidate
) -> None:
    promote(use_case, equal)
    decision = registry.gate_candidate(use_case, good)
    assert decision.passed, decision.reasons
    killed = subprocess.run(
        [sys.executable, "-c", KILLED], input=decision.model_dump_json(), text=True, env={**os.environ}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    champion = ledger.champion("flight_delays")
    assert champion is not None
    assert champion.model_version == good.model_version
    assert alias() == str(equal.model_version)
    assert registry.reconcile_releases(use_case)
    assert alias() == str(good.model_version)
    assert not registry.reconcile_releases(use_case)
    assert registry.promote_candidate(use_case, decision, who="ann", why="again") == champion


def test_the_ledger_stands_when_mlflow_is_away(
    database: Settings, use_case: UseCase, good: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = registry.gate_candidate(use_case, good)
    with monkeypatch.context() as patch:
        patch.setenv("MLFORGE_MLFLOW_URL", "http://127.0.0.1:9")
        from mlforge.settings import get_settings

        get_settings.cache_clear()
        try:
            release = registry.promote_candidate(use_case, decision, who="ann", why="MLflow is away")
        finally:
            patch.undo()
            get_settings.cache_clear()
    assert ledger.champion("flight_delays") == release
    registry.reconcile_releases(use_case)
    assert alias() == str(good.model_version)


def test_a_rollback_goes_back_and_the_journal_tells_when(
    database: Settings, use_case: UseCase, good: Candidate, equal: Candidate
) -> None:
    with pytest.raises(PromotionError, match="no earlier release"):
        registry.rollback_release(use_case, who="ann", why="nothing there")
    first = promote(use_case, equal)
    second = promote(use_case, good, who="bob")
    back = registry.rollback_release(use_case, who="ann", why="worse on Mondays")
    assert back.parent_id == second.release_id
    assert (back.uri, back.bento, back.model_version) == (first.uri, first.bento, first.model_version)
    assert ledger.champion("flight_delays") == back
    assert alias() == str(first.model_version)
    records = ledger.list_releases("flight_delays")
    assert [record.kind for record in records] == ["rollback", "promote", "promote"]
    assert [record.sequence for record in records] == [3, 2, 1]
    for record in records:
        assert ledger.champion_at("flight_delays", record.released_at) == record.release
    assert ledger.champion_at("flight_delays", records[-1].released_at - timedelta(seconds=1)) is None
    with pytest.raises(PromotionError, match="no earlier release"):
        registry.rollback_release(use_case, who="ann", why="again")
    decision = registry.find_decision(use_case, good.model_version)
    with pytest.raises(PromotionError, match="since ann rolled back to version"):
        registry.promote_candidate(use_case, decision, who="bob", why="my retry")


def test_what_answers_is_the_newest_live_deployment(database: Settings, use_case: UseCase, good: Candidate) -> None:
    release = promote(use_case, good)
    assert ledger.live_deployment("flight_delays") is None
    with db.connect() as connection:
        for state in ("packaged", "starting", "verified", "live"):
            connection.execute(
                "INSERT INTO ledger.deployments (use_case, release_id, state, port) VALUES (%s, %s, %s, 3100)",
                ["flight_delays", release.release_id, state],
            )
    live = ledger.live_deployment("flight_delays")
    assert live is not None
    assert (live.release_id, live.port) == (release.release_id, 3100)
    with db.connect() as connection:
        connection.execute(
            "INSERT INTO ledger.deployments (use_case, release_id, state) VALUES ('flight_delays', %s, 'stopped')",
            [release.release_id],
        )
    assert ledger.live_deployment("flight_delays") is None
