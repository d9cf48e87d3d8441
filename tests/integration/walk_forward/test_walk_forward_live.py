"""What is live is untouched by a walk, and a walk that was killed ends as one that was not."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql
from typer.testing import CliRunner

from mlforge import db, stages
from mlforge.cli.main import build_app
from mlforge.errors import PartitionKeyError, TerminalError, WalkForwardError
from mlforge.settings import Settings
from mlforge.spec import UseCase
from mlforge.tracking import download_model
from mlforge.walk_forward import ledger
from mlforge.walk_forward.ledger import WeekRecord
from mlforge.walk_forward.models import read_model
from mlforge.walk_forward.page import walk_page
from mlforge.walk_forward.report import find_walk, write_report
from mlforge.walk_forward.tracking import experiment_name
from mlforge.walk_forward.walk import TooEarlyError, prepare_week, run_week
from walk_case import DAYS, WEEKS, walk_until_killed

pytestmark = pytest.mark.integration

# What differs between two walks that have found the same.
_OWN = ("walk_week_id", "walk_id", "walk_model_id", "recorded_at", "run_id")
_TABLES = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')
  AND NOT (table_schema = 'ledger' AND table_name LIKE 'walk%')
ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Walked:
    """A walk that was killed and interrupted, one that was not, and what else there was before and after."""

    disturbed: list[WeekRecord]
    undisturbed: list[WeekRecord]
    before: dict[str, Any]
    after: dict[str, Any]
    killed: int


def snapshot() -> dict[str, Any]:
    """Return every row of every table that no walk has, and what MLflow's registry holds."""
    found: dict[str, Any] = {}
    with db.connect() as connection:
        for schema, table in connection.execute(_TABLES.encode()).fetchall():
            rows = connection.execute(
                sql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(sql.Identifier(schema, table))
            )
            found[f"{schema}.{table}"] = [row for (row,) in rows]
    return found | registry()


def registry() -> dict[str, Any]:
    from mlflow import MlflowClient

    client = MlflowClient()
    models = {model.name: dict(model.aliases) for model in client.search_registered_models()}
    versions = [(each.name, each.version, each.source, each.tags) for each in client.search_model_versions()]
    runs = client.search_runs([each.experiment_id for each in client.search_experiments() if "." not in each.name])
    return {"models": models, "versions": versions, "runs": sorted(run.info.run_id for run in runs)}


def _make_live(use_case: UseCase) -> None:
    """Register a champion and bring features online, so that there is something live to be touched."""
    from mlflow import MlflowClient

    run = stages.StageRun(use_case, use_case.partitions(DAYS.last_key))
    stages.materialize(run, stages.build_features(run))
    candidate = stages.train(run, stages.assemble(run))
    MlflowClient().set_registered_model_alias(use_case.name, "champion", str(candidate.model_version))


@pytest.fixture(scope="module")
def walked(january: UseCase, mlflow_server: Settings) -> Walked:
    _make_live(january)
    before = snapshot()
    killed = walk_until_killed(WEEKS[0])
    run_week(january, WEEKS[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "record_weeks", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_week(january, WEEKS[1])
    run_week(january, WEEKS[1])
    with pytest.MonkeyPatch.context() as patch:
        # Every model is trained anew, none is found.
        patch.setattr(ledger, "find_recipe", lambda *_: None)
        for key in WEEKS:
            write_report(january, run_week(january, key, walk="undisturbed"))
    weeks = [ledger.weeks_of(find_walk(january, name)) for name in (None, "undisturbed")]
    return Walked(*weeks, before=before, after=snapshot(), killed=killed)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_is_live_is_untouched(walked: Walked) -> None:
    filled = {name for name, content in walked.before.items() if content}
    assert {"ledger.training_sets", "models", "runs", "versions", "warehouse.flight_delays__flights"} <= filled
    assert {"ledger.releases", "ledger.gate_decisions", "ledger.deployments", "ledger.alerts"} <= set(walked.before)
    assert any(name.startswith("online.") for name in filled)
    assert walked.after == walked.before


def test_a_walk_that_was_killed_ends_as_one_that_was_not(walked: Walked) -> None:
    assert walked.killed == -signal.SIGKILL
    assert len(walked.disturbed) == len(WEEKS) * 4
    assert [_told(each) for each in walked.disturbed] == [_told(each) for each in walked.undisturbed]


def _told(record: WeekRecord) -> dict[str, Any]:
    return {name: value for name, value in asdict(record).items() if name not in _OWN and "seconds" not in name}


def test_a_week_that_stands_is_not_computed_again(
    january: UseCase, walked: Walked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlforge.walk_forward.walk.choose_model", _refuse)
    run_week(january, WEEKS[0])
    assert ledger.weeks_of(find_walk(january)) == walked.disturbed


def _refuse(*_: object) -> None:
    pytest.fail("a model is chosen again")


def test_each_policy_does_what_it_says(walked: Walked) -> None:
    first, second = ({each.policy: each for each in walked.disturbed if str(each.week) == key} for key in WEEKS)
    assert all(each.trained for each in first.values())
    assert first["never"].model_hash == first["sliding"].model_hash == first["on_drift"].model_hash
    assert first["expanding"].model_hash != first["sliding"].model_hash
    assert second["never"].model_hash == first["never"].model_hash
    assert not second["never"].trained
    assert second["never"].seconds == 0
    assert second["expanding"].training_rows > second["sliding"].training_rows
    drift = second["on_drift"].drift
    assert drift["columns"] > 20
    assert second["on_drift"].trained == (drift["share"] >= 0.3)
    kept = second["sliding"] if second["on_drift"].trained else first["on_drift"]
    assert second["on_drift"].model_hash == kept.model_hash
    assert {each.rows for each in second.values()} == {second["never"].rows}


def test_the_models_know_nothing_of_the_week_that_they_are_scored_on(january: UseCase, walked: Walked) -> None:
    for each in walked.disturbed:
        model = ledger.find_model(each.walk_model_id)
        assert model.as_of.date() <= each.week
        assert read_model(january, model).content_hash == model.model_hash


def test_mlflow_shows_each_week_and_the_metric_over_time(january: UseCase, walked: Walked) -> None:
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name(experiment_name(january))
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`mlforge.walk` = 'undisturbed'")
    weeks = {run.data.tags["mlforge.walk_week"]: run for run in runs if "mlforge.walk_week" in run.data.tags}
    assert set(weeks) == {str(each.walk_week_id) for each in walked.undisturbed}
    for each in walked.undisturbed:
        assert weeks[str(each.walk_week_id)].data.metrics["log_loss"] == pytest.approx(each.value)
    parents = {run.info.run_id: run.data.tags["mlforge.policy"] for run in runs if run.data.tags.keys().isdisjoint(
        {"mlforge.walk_week"})}  # fmt: skip
    assert set(parents.values()) == {"never", "expanding", "sliding", "on_drift"}
    for run_id in parents:
        assert [point.step for point in client.get_metric_history(run_id, "log_loss")] == [0, 1]


def test_a_week_whose_mlflow_was_down_is_logged_when_it_answers(
    january: UseCase, walked: Walked, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    with monkeypatch.context() as patch:
        patch.setattr("mlforge.walk_forward.tracking.tracking_reachable", lambda: False)
        run_week(january, WEEKS[0], walk="later")
    client = MlflowClient()
    experiment = client.get_experiment_by_name(experiment_name(january))
    assert experiment is not None
    query = "tags.`mlforge.walk` = 'later'"
    assert not client.search_runs([experiment.experiment_id], query)
    assert len(ledger.weeks_of(find_walk(january, "later"))) == 4
    run_week(january, WEEKS[0], walk="later")
    assert len(client.search_runs([experiment.experiment_id], query)) == 4 + 4


def test_the_page_lies_in_the_storage_and_says_that_two_weeks_are_few(january: UseCase, walked: Walked) -> None:
    walk = find_walk(january, "undisturbed")
    page = walk_page(january, walk, walked.undisturbed)
    assert "2 of the 8 weeks are scored that a statement needs" in page
    for policy in walk.policies:
        assert f"<td>{policy}</td>" in page
    from mlforge.settings import get_settings
    from mlforge.storage import read_bytes

    stored = read_bytes(f"{get_settings().storage}/walk_forward/flight_delays/undisturbed/walk.html")
    assert stored.decode() == page


def test_the_command_shows_a_walk_and_writes_its_page(walked: Walked, tmp_path: Path) -> None:
    runner, app, file = CliRunner(), build_app(), tmp_path / "walk.html"
    walk = ["flight_delays", "--walk", "undisturbed"]
    shown = runner.invoke(app, ["walk-forward", "show", *walk, "--json"])
    assert shown.exit_code == 0
    told = json.loads(shown.stdout)
    assert told["policies"]["never"]["trainings"] == 1
    assert list(told["policies"]["sliding"]["weeks"]) == list(WEEKS)
    assert "sliding" in runner.invoke(app, ["walk-forward", "show", *walk]).stdout
    written = runner.invoke(app, ["walk-forward", "page", *walk, "--html", str(file), "--price-per-hour", "2"])
    assert written.exit_code == 0
    assert "cost at 2 an hour" in file.read_text()
    unknown = runner.invoke(app, ["walk-forward", "show", "flight_delays", "--walk", "nobody"])
    assert "there is no walk 'nobody'" in str(unknown.exception)


def test_a_missing_week_is_named(january: UseCase, walked: Walked) -> None:
    longer = january.schedule.model_copy(update={"end": DAYS.last.replace(month=2, day=10)})
    use_case = january.model_copy(update={"schedule": longer})
    with pytest.raises(WalkForwardError, match="no scores of 2013-01-28"):
        prepare_week(use_case, "2013-02-04", walk="undisturbed")
    with pytest.raises(WalkForwardError, match="the walk begins with 2013-01-14"):
        prepare_week(use_case, "2013-01-07", walk="undisturbed")


def test_a_walk_cannot_begin_before_there_is_enough_to_train(january: UseCase, walked: Walked) -> None:
    with pytest.raises(TooEarlyError, match="begin the walk with a later week"):
        prepare_week(january, "2013-01-07", walk="early")


def test_other_settings_are_another_walk(january: UseCase, walked: Walked) -> None:
    training = january.training.model_copy(update={"window_days": 11})
    other = january.model_copy(update={"training": training})
    with pytest.raises(WalkForwardError, match="window_days: 10 then, 11 now"):
        prepare_week(other, WEEKS[0], walk="undisturbed")
    assert prepare_week(other, WEEKS[0]).walk != find_walk(january).name


def test_a_day_that_is_no_monday_is_refused(january: UseCase) -> None:
    with pytest.raises(PartitionKeyError, match="name the week by its first day, 2013-01-14"):
        prepare_week(january, "2013-01-15")


def test_the_champion_is_no_model_of_a_walk(january: UseCase, walked: Walked) -> None:
    for each in walked.disturbed:
        with pytest.raises(TerminalError):
            download_model(ledger.find_model(each.walk_model_id).uri)
