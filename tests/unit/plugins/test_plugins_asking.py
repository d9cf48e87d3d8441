"""Asking for a training: when the task waits, what it does when it is time, and what it says when it does not ask."""

from __future__ import annotations

import asyncio
import datetime as dt
import importlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow.sdk.execution_time.task_runner import _serialize_outlet_events

from mlforge import stages
from mlforge.spec import UseCase
from mlforge.training.deadline import DeadlineCheck
from mlforge.training.requests import Answer
from mlforge_airflow.assets import use_case_asset
from mlforge_airflow.operators.deadline import CheckDeadlineOperator
from mlforge_airflow.operators.features import AssembleTrainingSetOperator
from mlforge_airflow.operators.training import RequestTrainingOnDriftOperator, RequestTrainingOperator

KEY = "2013-04-01"
REPORT = {
    "use_case": "flight_delays", "partition_key": f"2013-03-26..{KEY}", "uri": "u", "rows": 1, "content_hash": "h",
    "code_version": "c", "drifted": [], "scores": {}, "performance": {},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _outside_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)


class Ledger:
    """What the library is asked in place of a ledger, and what it answers."""

    def __init__(self) -> None:
        self.newest = KEY
        self.asked: list[dict[str, Any]] = []
        self.answer = Answer("partition", "asked", "it is new")

    def request(self, run: stages.StageRun, **asking: Any) -> Answer:
        self.asked.append({**asking, "key": run.days.last_key})
        return Answer("partition", "not_live", asking["obstacle"]) if asking["obstacle"] else self.answer


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    made = Ledger()
    monkeypatch.setattr("mlforge.db.publications.newest_partition", lambda _: made.newest)
    monkeypatch.setattr(stages, "request_training", made.request)
    return made


def asking_at(use_case: UseCase, monkeypatch: pytest.MonkeyPatch, moment: dt.datetime) -> None:
    """Let the use case ask at the wall-clock time of a moment that lies after the partition's end."""
    monkeypatch.setattr("mlforge.spec.load_use_case", lambda _: use_case)
    monkeypatch.setattr("mlforge.spec.retraining.Retraining.asks_from", lambda self, end: moment)


def context(run_type: str = "scheduled", *, extras: list[dict[str, Any]] | None = None, **params: Any) -> Any:
    dag_run = SimpleNamespace(
        dag_id="flight_delays.data", run_id="r", run_type=run_type, triggering_user_name=None,
        run_after=dt.datetime(2013, 4, 2, 10, tzinfo=dt.UTC),
    )  # fmt: skip
    return {
        "dag_run": dag_run,
        "partition_key": KEY,
        "params": params,
        "triggering_asset_events": {"features": [SimpleNamespace(extra=extra) for extra in extras or []]},
        "outlet_events": OutletEventAccessors(),
    }


def request(**changes: Any) -> RequestTrainingOperator:
    asset = use_case_asset("flight_delays", "training_request")
    return RequestTrainingOperator(task_id="request_training", use_case="flight_delays", outlets=[asset], **changes)


def on_drift() -> RequestTrainingOnDriftOperator:
    asset = use_case_asset("flight_delays", "training_request")
    return RequestTrainingOnDriftOperator(
        task_id="request_training", use_case="flight_delays", report=REPORT, outlets=[asset]
    )


def in_hours(hours: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours)


def test_a_scheduled_run_waits_in_the_triggerer_and_then_asks(
    ledger: Ledger, flight_delays: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = in_hours(3)
    asking_at(flight_delays, monkeypatch, moment)
    with pytest.raises(TaskDeferred) as raised:
        request().execute(context())
    assert isinstance(raised.value.trigger, DateTimeTrigger)
    assert raised.value.trigger.moment == moment
    assert ledger.asked == []
    given = context()
    getattr(request(), raised.value.method_name)(given, event=moment)
    [event] = _serialize_outlet_events(given["outlet_events"])
    assert event["dest_asset_key"]["uri"] == "mlforge://flight_delays/training_request"
    assert event["extra"]["scheduled"] is True
    assert [each["key"] for each in ledger.asked] == [KEY]


def test_the_time_is_that_of_the_use_case(
    ledger: Ledger, flight_delays: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    retraining = flight_delays.retraining.model_copy(update={"at": dt.time(3), "timezone": "America/New_York"})
    endless = flight_delays.schedule.model_copy(update={"end": None})
    changed = flight_delays.model_copy(update={"retraining": retraining, "schedule": endless})
    monkeypatch.setattr("mlforge.spec.load_use_case", lambda _: changed)
    ledger.newest = str(tomorrow - dt.timedelta(days=1))
    with pytest.raises(TaskDeferred) as raised:
        request().execute({**context(), "partition_key": ledger.newest})
    waits = raised.value.trigger
    assert isinstance(waits, DateTimeTrigger)
    assert waits.moment == retraining.asks_from(changed.partitions(ledger.newest).end)
    assert waits.moment.in_timezone("America/New_York").hour == 3


def test_the_trigger_is_the_same_after_its_way_and_ends(ledger: Ledger) -> None:
    from airflow.serialization.serialized_objects import BaseSerialization

    path, arguments = DateTimeTrigger(moment=in_hours(-1)).serialize()
    module, name = path.rsplit(".", 1)
    sent = BaseSerialization.deserialize(json.loads(json.dumps(BaseSerialization.serialize(arguments))))
    again = getattr(importlib.import_module(module), name)(**sent)

    async def first() -> Any:
        return await anext(again.run())

    assert asyncio.run(first()).payload == again.moment


@pytest.mark.parametrize(
    ("run_type", "params", "extras"),
    [
        ("manual", {}, []),
        ("scheduled", {"act_live": True}, []),
        ("asset_triggered", {}, [{"scheduled": False}]),
    ],
)
def test_who_is_not_scheduled_never_waits(
    ledger: Ledger,
    flight_delays: UseCase,
    monkeypatch: pytest.MonkeyPatch,
    run_type: str,
    params: dict[str, Any],
    extras: list[dict[str, Any]],
) -> None:
    asking_at(flight_delays, monkeypatch, in_hours(3))
    request().execute(context(run_type, extras=extras, **params))
    [asked] = ledger.asked
    assert (asked["by_hand"], asked["insists"]) == (run_type == "manual", bool(params))


def test_a_run_that_is_late_asks_at_once(
    ledger: Ledger, flight_delays: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking_at(flight_delays, monkeypatch, in_hours(-1))
    request().execute(context())
    assert len(ledger.asked) == 1


@pytest.mark.parametrize(("run_type", "newest"), [("backfill", KEY), ("scheduled", "2013-04-02")])
def test_who_may_not_ask_does_not_wait_either_and_it_is_written_down(
    ledger: Ledger, flight_delays: UseCase, monkeypatch: pytest.MonkeyPatch, run_type: str, newest: str
) -> None:
    asking_at(flight_delays, monkeypatch, in_hours(3))
    ledger.newest = newest
    with pytest.raises(AirflowSkipException, match=r"To act anyway, run it with the parameter act_live: true"):
        request().execute(context(run_type))
    assert ledger.asked[0]["obstacle"]


def test_after_the_wait_it_looks_again_whether_its_partition_is_the_newest(ledger: Ledger) -> None:
    ledger.newest = "2013-04-02"
    given = context()
    with pytest.raises(AirflowSkipException, match="not the newest published partition, which is 2013-04-02"):
        request().resume(given, event=None)
    assert list(_serialize_outlet_events(given["outlet_events"])) == []


def test_nothing_has_changed_is_a_reason_to_skip(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    ledger.answer = Answer("partition", "unchanged", f"nothing has changed since training as of {KEY}")
    with caplog.at_level("INFO"), pytest.raises(AirflowSkipException):
        request().execute(context())
    assert f"skipped: nothing has changed since training as of {KEY}. To act anyway" in caplog.text


def test_monitoring_asks_with_its_report_and_waits_when_the_schedule_was_its_cause(
    ledger: Ledger, flight_delays: UseCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking_at(flight_delays, monkeypatch, in_hours(3))
    with pytest.raises(TaskDeferred):
        on_drift().execute(context("asset_triggered", extras=[{"scheduled": True}]))
    on_drift().execute(context("asset_triggered", extras=[{"scheduled": False, "act_live": True}]))
    [asked] = ledger.asked
    assert asked["report"].partition_key == f"2013-03-26..{KEY}"
    assert not asked["insists"], "that a person insisted travels to nobody"


def test_drift_that_is_not_there_is_no_cause_even_for_who_insists(ledger: Ledger) -> None:
    ledger.answer = Answer("drift", "no_cause", "10% have drifted")
    with pytest.raises(AirflowSkipException, match=r"^10% have drifted$"):
        on_drift().execute(context("manual"))


@pytest.mark.parametrize(
    ("run_type", "dag_id", "noted"),
    [
        ("manual", "flight_delays.training", ["flight_delays.training/r"]),
        ("asset_triggered", "flight_delays.training", []),
        ("manual", "flight_delays.walk_forward", []),
    ],
)
def test_a_training_that_a_person_starts_is_written_down(
    monkeypatch: pytest.MonkeyPatch, run_type: str, dag_id: str, noted: list[str]
) -> None:
    seen: list[str | None] = []
    monkeypatch.setattr(stages, "note_training", lambda run: seen.append(run.run_id))
    monkeypatch.setitem(stages.STAGES, "assemble", stages.Stage(lambda run: 0))
    given = context(run_type)
    given["dag_run"].dag_id = dag_id
    AssembleTrainingSetOperator(task_id="assemble_training_set", use_case="flight_delays").execute(given)
    assert seen == noted


@pytest.fixture
def deadline(flight_delays: UseCase, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The partitions that are looked at, of a use case whose deadline is 06:00 in New York."""
    looked: list[str] = []
    retraining = flight_delays.retraining.model_copy(update={"deadline": dt.time(6), "timezone": "America/New_York"})
    monkeypatch.setattr(
        "mlforge.spec.load_use_case", lambda _: flight_delays.model_copy(update={"retraining": retraining})
    )

    def check(use_case: UseCase, days: Any, *, run_id: str) -> DeadlineCheck:
        looked.append(days.key)
        return DeadlineCheck(days.key, days.key == KEY, "the gate passed version 7")

    monkeypatch.setattr("mlforge.training.deadline.check_deadline", check)
    return looked


def check(given: Any) -> None:
    CheckDeadlineOperator(task_id="check_deadline", use_case="flight_delays").execute(given)


@pytest.mark.parametrize(
    ("now", "key"),
    [
        ("2013-04-02T10:00", KEY),  # 06:00 of the day after
        ("2013-04-03T09:59", KEY),
        ("2013-11-04T11:00", "2013-11-03"),  # the clock was put back in that night
        ("2013-11-04T10:59", "2013-11-02"),
        ("2030-01-01T00:00", "2013-12-30"),  # the schedule has ended
    ],
)
def test_the_newest_partition_that_is_due_is_looked_at(deadline: list[str], now: str, key: str) -> None:
    given = {**context(), "partition_key": None}
    given["dag_run"].run_after = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
    if key == KEY:
        check(given)
    else:
        with pytest.raises(AirflowFailException, match=f"flight_delays {key}: no decision in time"):
            check(given)
    assert deadline == [key]


def test_before_the_first_deadline_and_in_a_backfill_nothing_is_looked_at(deadline: list[str]) -> None:
    given = {**context(), "partition_key": None}
    given["dag_run"].run_after = dt.datetime(2013, 1, 1, 12, tzinfo=dt.UTC)
    with pytest.raises(AirflowSkipException, match="no partition has a deadline"):
        check(given)
    with pytest.raises(AirflowSkipException, match="a backfill never touches"):
        check(context("backfill"))
    assert deadline == []


def test_a_person_may_name_the_partition(deadline: list[str]) -> None:
    check(context("manual"))
    assert deadline == [KEY]
