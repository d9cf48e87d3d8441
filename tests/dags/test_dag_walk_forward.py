"""The walk through history in Airflow: which weeks a backfill has, and that nothing walks by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowSkipException
from airflow.serialization.serialized_objects import DagSerialization

from mlforge.spec import UseCase, load_use_case
from mlforge.walk_forward.weeks import first_week, last_week, parse_weeks
from mlforge_airflow.chains import walk_forward_chain
from mlforge_airflow.operators.walk_forward import PrepareWeekOperator


def serialized(use_case: UseCase) -> Any:
    return DagSerialization.from_dict(DagSerialization.to_dict(walk_forward_chain(use_case)))


def keys_between(use_case: UseCase, start: datetime, end: datetime) -> list[str]:
    return [info.partition_key for info in serialized(use_case).iter_dagrun_infos_between(start, end)]


@pytest.mark.parametrize("name", ["flight_delays", "household_spend"])
def test_a_backfill_of_a_year_has_every_whole_week_in_order(name: str) -> None:
    use_case = load_use_case(name)
    first, last = first_week(use_case), last_week(use_case)
    weeks = [week.key for week in parse_weeks(use_case, f"{first.key}..{last.key}")]
    assert keys_between(use_case, first.as_of, last.as_of) == weeks
    assert len(weeks) >= 51


def test_a_backfill_beyond_the_last_whole_week_has_one_that_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    use_case = load_use_case("flight_delays")
    year = keys_between(use_case, datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 12, 31, tzinfo=UTC))
    assert (year[0], year[-2], year[-1]) == ("2013-01-07", "2013-12-23", "2013-12-30")
    with pytest.raises(AirflowSkipException, match="cannot be scored"):
        execute(monkeypatch, "backfill", year[-1])


def test_a_week_is_due_when_it_has_ended() -> None:
    shipped = load_use_case("flight_delays")
    endless = shipped.model_copy(update={"schedule": shipped.schedule.model_copy(update={"end": None})})
    info = serialized(endless).next_dagrun_info(last_automated_run_info=None)
    assert info is not None
    week = datetime.fromisoformat(info.partition_key).replace(tzinfo=UTC)
    assert info.run_after == week + timedelta(days=7)


def test_a_history_that_has_ended_starts_nothing() -> None:
    assert serialized(load_use_case("flight_delays")).next_dagrun_info(last_automated_run_info=None) is None


def test_weeks_go_one_after_the_other() -> None:
    assert walk_forward_chain(load_use_case("flight_delays")).max_active_runs == 1


def test_a_history_shorter_than_a_week_is_no_error() -> None:
    shipped = load_use_case("flight_delays")
    days = shipped.schedule.model_copy(update={"end": shipped.schedule.start + timedelta(days=2)})
    short = shipped.model_copy(update={"schedule": days})
    assert serialized(short).next_dagrun_info(last_automated_run_info=None) is None


def test_what_the_schedule_starts_is_skipped_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AirflowSkipException, match="never runs by itself"):
        execute(monkeypatch, "scheduled", "2013-04-01")


def execute(monkeypatch: pytest.MonkeyPatch, run_type: str, key: str) -> None:
    """Run the first task of a week, as Airflow does."""
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", True)
    dag_run = SimpleNamespace(dag_id="d", run_id="r", run_type=run_type, triggering_user_name=None)
    operator = PrepareWeekOperator(task_id="assemble", use_case="flight_delays")
    context: Any = {"dag_run": dag_run, "partition_key": key, "params": {}, "outlet_events": {}}
    operator.execute(context)
