from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from mlforge import db, registry
from mlforge.cli.registry import models_app
from mlforge.db import ledger
from mlforge.errors import PromotionError, TerminalError
from mlforge.refs import Candidate, Release
from mlforge.registry.card import page_uri
from mlforge.registry.model_registry import ModelRegistry
from mlforge.settings import Settings
from mlforge.spec import load_use_case
from release_parts import decide, make_candidate

pytestmark = pytest.mark.integration
NAME = "flight_delays"
runner = CliRunner()


@pytest.fixture(scope="module")
def candidates(mlflow_server: Settings) -> list[Candidate]:
    """A first model, the same trained again, one of other settings, one of other features; and one that is refused."""
    return [
        make_candidate(2),
        make_candidate(3),
        make_candidate(4, settings="s2"),
        make_candidate(5, columns=("distance", "hour", "seats"), features="f2"),
        make_candidate(6),
    ]


@pytest.fixture(scope="module")
def releases(module_database: Settings, candidates: list[Candidate]) -> list[Release]:
    """Four promotions, a rollback, and a refused candidate; the first release answers behind the gateway."""
    use_case = load_use_case(NAME)
    made = [
        registry.promote_candidate(use_case, decide(candidate), who="ann", why=why)
        for candidate, why in zip(candidates, ("the first", "nightly", "more trees", "seats are known"), strict=False)
    ]
    made.append(registry.rollback_release(use_case, who="bob", why="[red]late[/red] on Mondays"))
    decide(candidates[4], passed=False)
    with db.connect() as connection:
        connection.execute(
            "INSERT INTO ledger.deployments (use_case, release_id, state, port, changed_at)"
            " SELECT use_case, release_id, 'live', 3100, released_at + interval '1 microsecond' FROM ledger.releases"
            " WHERE release_id = %s",
            [made[0].release_id],
        )
    return made


def run(*arguments: str) -> str:
    done = runner.invoke(models_app, list(arguments), catch_exceptions=False, env={"COLUMNS": "180"})
    assert done.exit_code == 0, done.output
    return str(done.stdout)


def as_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_versions_count_what_changed_and_a_rollback_keeps_its_own(releases: list[Release]) -> None:
    assert [record.version for record in ledger.list_releases(NAME)] == ["1.1.0", "2.0.0", "1.1.0", "1.0.1", "1.0.0"]


def test_mlflow_shows_each_versions_state(releases: list[Release], candidates: list[Candidate]) -> None:
    registry.reconcile_releases(load_use_case(NAME))
    tags = {version.number: version.tags for version in ModelRegistry(load_use_case(NAME)).versions()}
    states = [tags[candidate.model_version]["mlforge.state"] for candidate in candidates]
    assert states == ["former champion", "former champion", "champion", "rolled back", "refused"]
    assert tags[candidates[2].model_version]["mlforge.version"] == "1.1.0"
    assert tags[candidates[2].model_version]["mlforge.release"] == str(releases[4].release_id)


def test_list_shows_champions_and_what_answers(releases: list[Release]) -> None:
    text = run("list")
    assert "1.1.0" in text
    assert f"release {releases[0].release_id} since" in text
    assert "household_spend" in text
    (row,) = as_json("list", "-u", NAME)
    assert row["champion"]["release"]["release_id"] == releases[4].release_id
    assert row["live"]["release_id"] == releases[0].release_id


def test_list_shows_every_version_with_the_gates_verdict(releases: list[Release], candidates: list[Candidate]) -> None:
    rows = {row["number"]: row for row in as_json("list", "--versions", "-u", NAME)}
    found = [rows[candidate.model_version] for candidate in candidates]
    assert [row["version"] for row in found] == ["1.0.0", "1.0.1", "1.1.0", "2.0.0", None]
    assert [row["passed"] for row in found] == [True, True, True, True, False]
    assert found[2]["releases"] == [releases[2].release_id, releases[4].release_id]
    text = run("list", "--versions", "-u", NAME)
    assert "refused" in text
    assert "log_loss 0.5" in text


def test_at_an_instant_the_ledger_says_who_was_champion_and_what_answered(releases: list[Release]) -> None:
    records = ledger.list_releases(NAME)[::-1]
    for record in records:
        (row,) = as_json("list", "-u", NAME, "--at", record.released_at.isoformat())
        assert row["champion"]["release"]["release_id"] == record.release.release_id
    before = (records[0].released_at - timedelta(microseconds=1)).isoformat()
    assert as_json("list", "-u", NAME, "--at", before) == [{"use_case": NAME, "champion": None, "live": None}]
    at = records[1].released_at.isoformat()
    assert len(as_json("history", "-u", NAME, "--at", at)["releases"]) == 2
    assert as_json("show", NAME, "--at", at)["version"]["version"] == "1.0.1"
    assert as_json("show", NAME, "1.0.0", "--at", at)["version"]["state"] == "former champion"
    rows = as_json("list", "--versions", "-u", NAME, "--at", at)
    assert {row["version"] for row in rows if row["releases"]} == {"1.0.0", "1.0.1"}
    assert "none yet" in run("list", "-u", NAME, "--at", "2013-01-01")
    with pytest.raises(TerminalError, match="no time zone"):
        run("list", "--at", "2026-03-31T14:00")


def test_show_tells_all_that_is_known_of_a_version(releases: list[Release], candidates: list[Candidate]) -> None:
    champion = as_json("show", NAME)
    assert champion["version"]["number"] == candidates[2].model_version
    assert [record["who"] for record in champion["releases"]] == ["ann", "bob"]
    assert champion["features"] == ["distance", "hour"]
    assert champion["parameters"] == {"n_estimators": "4"}
    assert champion["fingerprints"]["settings"] == "s2"
    assert champion["metrics"] == {"log_loss": 0.4}
    assert champion["training_set"]["content_hash"] == "1" * 64
    for name in (str(candidates[2].model_version), "v1.1.0", f"r{releases[4].release_id}"):
        assert as_json("show", NAME, name) == champion
    text = run("show", NAME, "1.1.0")
    assert "[red]late[/red] on Mondays" in text
    assert "beats base_rate" in text
    assert page_uri(champion["version"]["card_uri"]) in text


def test_compare_names_what_differs(releases: list[Release], candidates: list[Candidate]) -> None:
    found = as_json("compare", NAME, "1.0.1", "2.0.0")
    assert found["step"] == "major"
    assert found["fingerprints"] == {"features": ["f1", "f2"]}
    assert found["parameters"] == {"n_estimators": ["3", "5"]}
    assert (found["only_first"], found["only_second"]) == ([], ["seats"])
    assert found["gate"] is None
    assert as_json("compare", NAME, "2.0.0", "1.1.0")["gate"]["model_version"] == candidates[3].model_version
    text = run("compare", NAME, "1.1.0", "2.0.0")
    assert f"the gate passed version {candidates[3].model_version}" in text
    assert "only version" in text
    with pytest.raises(PromotionError, match="are one version"):
        run("compare", NAME, "1.1.0", "champion")


def test_an_unknown_version_is_said_with_near_names(releases: list[Release]) -> None:
    for arguments in (("show", NAME, "1.1.9"), ("compare", NAME, "1.1.9", "1.0.0")):
        with pytest.raises(PromotionError, match=r"no version '1\.1\.9'.*1\.1\.0 is version"):
            run(*arguments)
    with pytest.raises(PromotionError, match="no version '99'"):
        run("promote", "-u", NAME, "--version", "99")


def test_nobody_promotes_past_the_gate(releases: list[Release], candidates: list[Candidate]) -> None:
    with pytest.raises(PromotionError, match="the gate refused version"):
        run("promote", "-u", NAME, "--version", str(candidates[4].model_version))
    assert ledger.list_releases(NAME)[0].release == releases[4]


def test_an_alias_moved_by_hand_and_a_lost_tag_are_repaired_and_said(
    releases: list[Release], candidates: list[Candidate]
) -> None:
    from mlflow import MlflowClient

    client, champion, other = MlflowClient(), candidates[2].model_version, candidates[0].model_version
    run("reconcile", "-u", NAME)
    assert "MLflow shows what the ledger says" in run("reconcile", "-u", NAME)
    client.set_registered_model_alias(NAME, "champion", str(other))
    client.delete_model_version_tag(NAME, str(champion), "mlforge.version")
    said = run("reconcile", "--all")
    assert f"the alias champion named version {other}, the ledger says version {champion}: repaired" in said
    assert f"version {champion} had no mlforge.version, the ledger says mlforge.version=1.1.0: repaired" in said
    assert ModelRegistry(load_use_case(NAME)).alias() == champion
    found = as_json("history", "-u", NAME)
    assert [repair["what"] for repair in found["repairs"][:2]] == ["tags", "alias"]
    assert found["repairs"][0]["release_id"] == releases[4].release_id
    assert "named version" in run("history", "-u", NAME)
    assert as_json("reconcile", "-u", NAME) == {NAME: []}
