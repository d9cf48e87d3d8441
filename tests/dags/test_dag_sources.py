"""What sources change about the data chain: a task that waits, and a schedule that goes on."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from mlforge.settings import get_settings
from mlforge.spec import UseCase
from mlforge.spec.sources import Wait
from mlforge_airflow.chains import data_chain
from mlforge_airflow.operators.retry import BackoffWithJitter


def serialized(dag: DAG) -> Any:
    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


def test_the_waiting_task_keeps_the_house_rules(flight_delays: UseCase) -> None:
    weather = flight_delays.dataset("weather")
    late = weather.source.model_copy(update={"wait": Wait(deadline_hours=1.0)})
    changed = {**flight_delays.datasets, "weather": weather.model_copy(update={"source": late})}
    dag = data_chain(flight_delays.model_copy(update={"datasets": changed}))
    task = dag.get_task("weather.wait_for_data")
    assert task.effect == "partition"
    assert "holds no worker" in task.doc_md
    assert "**Effect: partition.**" in task.doc_md
    assert isinstance(task.retry_policy, BackoffWithJitter)
    assert task.upstream_task_ids == set()
    assert task.downstream_task_ids == {"weather.extract"}
    assert "weather.wait_for_data" in serialized(dag).task_ids


def test_a_history_that_is_played_again_has_a_run_every_night(
    flight_delays: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert serialized(data_chain(flight_delays)).next_dagrun_info(last_automated_run_info=None) is None
    played = get_settings().model_copy(update={"replay": True})
    monkeypatch.setattr("mlforge.spec.use_case.get_settings", lambda: played)
    due = serialized(data_chain(flight_delays)).next_dagrun_info(last_automated_run_info=None)
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    assert dt.date.fromisoformat(due.partition_key) in (yesterday, yesterday + dt.timedelta(days=1))
    assert flight_delays.partitions(due.partition_key).last_key == due.partition_key
