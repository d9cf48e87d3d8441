"""A partition that has not come by its deadline: one alert, and a task that says what is late since when."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flight_sources import ask
from mlforge.settings import Settings
from mlforge.spec import UseCase
from mlforge.spec.sources import FileSource

pytestmark = pytest.mark.integration
KEY = "2013-04-01"


@pytest.fixture(autouse=True)
def _outside_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.bases.operator import ExecutorSafeguard

    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)


@pytest.fixture
def waiting(database: Settings, flight_delays: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UseCase:
    """The shipped use case, whose weather comes as one file per day and is waited for an hour."""
    source = FileSource.model_validate(
        {"kind": "file", "path": f"{tmp_path}/{{partition_key}}.csv", "partition_column": "time_hour",
         "wait": {"deadline_hours": 1}}
    )  # fmt: skip
    weather = flight_delays.dataset("weather").model_copy(update={"source": source})
    changed = flight_delays.model_copy(update={"datasets": {**flight_delays.datasets, "weather": weather}})
    monkeypatch.setattr("mlforge.spec.load_use_case", lambda _: changed)
    return changed


def run(run_type: str = "scheduled", key: str = KEY, **params: str) -> None:
    """Run the task in a run that began two hours ago."""
    from mlforge_airflow.operators.waiting import WaitForPartitionOperator

    started = dt.datetime.now(dt.UTC) - dt.timedelta(hours=2)
    dag_run = SimpleNamespace(dag_id="d", run_id="r", run_type=run_type, triggering_user_name=None, start_date=started)
    given: Any = {"dag_run": dag_run, "partition_key": key, "params": params, "triggering_asset_events": {}}
    WaitForPartitionOperator(task_id="wait_for_data", use_case="flight_delays", dataset="weather").execute(given)


def alerts() -> list[tuple[Any, ...]]:
    return ask("SELECT partition_key, severity, what, run_id, detail->>'due' FROM ledger.alerts")


def test_a_partition_that_is_late_is_told_once_and_fails_the_task(waiting: UseCase) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    for _ in range(2):
        with pytest.raises(AirflowFailException, match=r"2013-04-01 is late: due since 2013-04-02 00:00 UTC, waited"):
            run()
    assert alerts() == [(KEY, "critical", "late weather", "d/r", "2013-04-02T00:00:00+00:00")]


def test_of_a_range_the_first_partition_that_is_missing_is_named(waiting: UseCase, tmp_path: Path) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    (tmp_path / f"{KEY}.csv").write_text("time_hour\n")
    with pytest.raises(AirflowFailException, match="2013-04-02 is late"):
        run("manual", "2013-04-03", **{"from": KEY, "to": "2013-04-03"})
    assert [key for key, *_ in alerts()] == ["2013-04-02"]


def test_a_backfill_fails_too_but_alerts_nobody(waiting: UseCase) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="2013-04-01 is late"):
        run("backfill")
    assert alerts() == []


def test_nothing_is_said_when_it_has_come(waiting: UseCase, tmp_path: Path) -> None:
    (tmp_path / f"{KEY}.csv").write_text("time_hour\n")
    run()
    assert alerts() == []
