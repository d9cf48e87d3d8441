"""Stale partitions become one event each, as Airflow itself reads them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow.sdk.execution_time.task_runner import _serialize_outlet_events

from mlforge import stages
from mlforge_airflow.assets import use_case_asset
from mlforge_airflow.operators.stale import MarkStaleOperator


@pytest.fixture(autouse=True)
def _outside_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)


def execute(monkeypatch: pytest.MonkeyPatch, keys: list[str], **params: Any) -> list[dict[str, Any]]:
    asked: list[list[str]] = []
    monkeypatch.setattr(stages, "stale_keys", lambda run: asked.append(run.days.keys) or keys)
    events = OutletEventAccessors()
    given: Any = {
        "dag_run": SimpleNamespace(dag_id="d", run_id="r", run_type="backfill", triggering_user_name="ada"),
        "partition_key": "2013-04-01",
        "params": params,
        "triggering_asset_events": {},
        "outlet_events": events,
    }
    asset = use_case_asset("flight_delays", "stale")
    MarkStaleOperator(task_id="mark_stale", use_case="flight_delays", outlets=[asset]).execute(given)
    assert asked == [["2013-04-01"]]
    return list(_serialize_outlet_events(events))


def test_every_stale_partition_has_an_event_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    events = execute(monkeypatch, ["2013-04-02", "2013-04-05"])
    assert sorted(event["partition_key"] for event in events) == ["2013-04-02", "2013-04-05"]
    assert {event["dest_asset_key"]["uri"] for event in events} == {"mlforge://flight_delays/stale"}


def test_that_a_person_let_the_cause_act_live_does_not_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    (event,) = execute(monkeypatch, ["2013-04-02"], act_live=True)
    assert event["extra"] == {
        "partitions": "2013-04-01", "backfill": True, "act_live": False, "who": "ada", "scheduled": False,
    }  # fmt: skip


def test_without_a_stale_partition_the_task_is_skipped_and_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AirflowSkipException, match="no partition that was built before is stale"):
        execute(monkeypatch, [])
