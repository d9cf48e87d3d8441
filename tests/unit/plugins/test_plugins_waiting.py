"""Waiting for a partition that is late: what the trigger sees, and what the task does with it."""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.triggers.base import TriggerEvent

from mlforge.settings import Settings
from mlforge.spec import UseCase
from mlforge.spec.sources import FileSource
from mlforge_airflow.chains import data_chain
from mlforge_airflow.operators.waiting import WaitForPartitionOperator
from mlforge_airflow.triggers import arrival
from mlforge_airflow.triggers.arrival import PartitionArrivalTrigger

KEY = "2013-04-01"
ROW = f"time_hour\n{KEY}T00:00:00Z\n"


@pytest.fixture(autouse=True)
def _outside_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)


@pytest.fixture
def waiting(installation: Settings, flight_delays: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UseCase:
    """The shipped use case, whose weather comes as one file per day and may be late."""
    source = FileSource.model_validate(
        {"kind": "file", "path": f"{tmp_path}/{{partition_key}}.csv", "partition_column": "time_hour",
         "wait": {"deadline_hours": 1, "poke_seconds": 0.01}}
    )  # fmt: skip
    weather = flight_delays.dataset("weather").model_copy(update={"source": source})
    changed = flight_delays.model_copy(update={"datasets": {**flight_delays.datasets, "weather": weather}})
    monkeypatch.setattr("mlforge.spec.load_use_case", lambda _: changed)
    return changed


def trigger(deadline: dt.datetime) -> PartitionArrivalTrigger:
    return PartitionArrivalTrigger("flight_delays", "weather", KEY, deadline.isoformat(), 0.01)


def in_hours(hours: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)


async def events(made: PartitionArrivalTrigger) -> list[Any]:
    """Return what the trigger says, without the deadline that it repeats."""
    payloads = [event.payload async for event in made.run()]
    assert [payload.pop("deadline") for payload in payloads] == [made.deadline] * len(payloads)
    return payloads


def context(started: dt.datetime, key: str = KEY, run_type: str = "manual") -> Any:
    dag_run = SimpleNamespace(dag_id="d", run_id="r", run_type=run_type, triggering_user_name=None, start_date=started)
    return {"dag_run": dag_run, "partition_key": key, "params": {}, "triggering_asset_events": {}}


def operator() -> WaitForPartitionOperator:
    return WaitForPartitionOperator(task_id="wait_for_data", use_case="flight_delays", dataset="weather")


def test_only_a_dataset_that_may_be_late_has_the_task(waiting: UseCase) -> None:
    dag = data_chain(waiting)
    assert dag.get_task("weather.wait_for_data").downstream_task_ids == {"weather.extract"}
    assert [task for task in dag.task_ids if "wait" in task] == ["weather.wait_for_data"]


def test_a_trigger_is_the_same_after_its_way_to_the_triggerer(waiting: UseCase) -> None:
    path, arguments = trigger(in_hours(1)).serialize()
    module, name = path.rsplit(".", 1)
    again = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)


def test_the_trigger_says_so_when_the_partition_is_there(waiting: UseCase, tmp_path: Path) -> None:
    (tmp_path / f"{KEY}.csv").write_text(ROW)
    assert asyncio.run(events(trigger(in_hours(1)))) == [{"state": "arrived"}]


def test_the_trigger_waits_without_holding_others_up(
    waiting: UseCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def look(*asked: str) -> Any:
        looks.append(asked[2])
        if len(looks) == 3:
            (tmp_path / f"{KEY}.csv").write_text(ROW)
        return seen(*asked)

    seen = arrival.look
    monkeypatch.setattr(arrival, "look", look)

    async def both() -> tuple[list[Any], int]:
        turns = 0
        waits = asyncio.ensure_future(events(trigger(in_hours(1))))
        while not waits.done():
            turns += 1
            await asyncio.sleep(0)
        return waits.result(), turns

    found, turns = asyncio.run(both())
    assert found == [{"state": "arrived"}]
    assert len(looks) == 3
    assert turns > 3, "the loop went on meanwhile"


def test_the_trigger_ends_at_the_deadline_with_what_is_missing(waiting: UseCase) -> None:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(milliseconds=50)
    assert asyncio.run(events(trigger(soon))) == [{"state": "late", "missing": KEY}]


def test_what_waiting_does_not_mend_ends_at_once(waiting: UseCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "mlforge.spec.load_use_case",
        lambda _: waiting.model_copy(
            update={"schedule": waiting.schedule.model_copy(update={"end": dt.date(2013, 1, 5)})}
        ),
    )
    [event] = asyncio.run(events(trigger(in_hours(1))))
    assert event["state"] == "broken"
    assert "outside 2013-01-01..2013-01-05" in event["error"]


def test_a_source_that_does_not_answer_is_waited_for(waiting: UseCase, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlforge.errors import ServiceUnavailableError

    def gone(*_: object) -> str:
        raise ServiceUnavailableError("it answers 503")

    monkeypatch.setattr("mlforge.ingest.arrival.first_missing", gone)
    assert asyncio.run(events(trigger(in_hours(-1)))) == [{"state": "late", "missing": KEY, "seen": "it answers 503"}]


def test_the_task_goes_on_at_once_when_the_partition_is_there(waiting: UseCase, tmp_path: Path) -> None:
    (tmp_path / f"{KEY}.csv").write_text(ROW)
    assert operator().execute(context(in_hours(0))) is None


def test_the_task_waits_in_the_triggerer_from_the_start_of_its_run(waiting: UseCase) -> None:
    started = in_hours(-0.5)
    with pytest.raises(TaskDeferred) as raised:
        operator().execute(context(started))
    deferred = raised.value.trigger
    assert isinstance(deferred, PartitionArrivalTrigger)
    assert dt.datetime.fromisoformat(deferred.deadline) == started + dt.timedelta(hours=1)
    assert (deferred.partition_key, deferred.poke_seconds) == (KEY, 0.01)
    resume = getattr(operator(), raised.value.method_name)
    event = TriggerEvent({"state": "arrived"})
    assert resume(context(started), event=event.payload) is None


def test_a_source_that_is_broken_fails_the_task(waiting: UseCase) -> None:
    with pytest.raises(AirflowFailException, match="no such column"):
        operator().resume(context(in_hours(0)), {"state": "broken", "error": "no such column"})


def test_a_key_that_is_no_partition_fails_the_task(waiting: UseCase) -> None:
    with pytest.raises(AirflowFailException, match="is no day"):
        operator().execute(context(in_hours(0), "soon"))
