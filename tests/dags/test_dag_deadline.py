"""The chain with a clock of its own: when it runs, and that it runs for no partition that is not due."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pendulum
import pytest
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import DataInterval, TimeRestriction

from mlforge.spec import UseCase, load_use_case
from mlforge.training.deadline import due_partition
from mlforge_airflow.chains import deadline_chain
from mlforge_airflow.operators.retry import BackoffWithJitter


def with_deadline(use_case: UseCase, deadline: str = "06:00", *, end: dt.date | None = None, **times: Any) -> UseCase:
    """Return a use case with a deadline in New York, whose schedule goes on unless it ends."""
    given = {"deadline": deadline, "timezone": "America/New_York", **times}
    retraining = type(use_case.retraining).model_validate(given)
    schedule = use_case.schedule.model_copy(update={"end": end})
    return use_case.model_copy(update={"retraining": retraining, "schedule": schedule})


def chain(use_case: UseCase) -> DAG:
    dag = deadline_chain(use_case)
    assert dag is not None
    return dag


def serialized(use_case: UseCase) -> Any:
    return DagSerialization.from_dict(DagSerialization.to_dict(chain(use_case)))


def ticks(use_case: UseCase, after: str, count: int) -> list[dt.datetime]:
    """Return when Airflow runs it after an instant."""
    timetable, found = serialized(use_case).timetable, []
    last = DataInterval.exact(pendulum.parse(after))  # type: ignore[arg-type]  # an instant, not a duration
    for _ in range(count):
        info = timetable.next_dagrun_info(
            last_automated_data_interval=last, restriction=TimeRestriction(None, None, catchup=True)
        )
        found.append(info.run_after)
        last = info.data_interval
    return found


def test_without_a_deadline_there_is_no_chain(flight_delays: UseCase) -> None:
    assert deadline_chain(flight_delays.model_copy(update={"retraining": type(flight_delays.retraining)()})) is None


def test_it_keeps_the_house_rules(flight_delays: UseCase) -> None:
    dag = chain(with_deadline(flight_delays))
    assert dag.dag_id == "flight_delays.deadline"
    assert {"mlforge", "flight_delays", "deadline"} <= set(dag.tags)
    assert dag.catchup is False
    assert "06:00 America/New_York" in str(dag.doc_md)
    [task] = dag.tasks
    assert (task.task_id, task.effect, task.owner) == ("check_deadline", "live", flight_delays.owner)  # type: ignore[attr-defined]  # an operator of ours
    assert isinstance(task.retry_policy, BackoffWithJitter)
    assert set(serialized(with_deadline(flight_delays)).task_ids) == {"check_deadline"}


@pytest.mark.parametrize(
    ("at", "after", "utc"),
    [
        ("06:00", "2026-03-06T12:00Z", ["03-07T11:00", "03-08T10:00", "03-09T10:00"]),
        ("06:00", "2026-10-30T12:00Z", ["10-31T10:00", "11-01T11:00", "11-02T11:00"]),
        ("02:30", "2026-03-06T12:00Z", ["03-07T07:30", "03-08T07:30", "03-09T06:30"]),  # 02:30 does not exist
        ("01:30", "2026-10-30T12:00Z", ["10-31T05:30", "11-01T06:30", "11-02T06:30"]),  # 01:30 comes twice
    ],
)
def test_each_tick_finds_the_partition_of_its_night(
    flight_delays: UseCase, at: str, after: str, utc: list[str]
) -> None:
    use_case = with_deadline(flight_delays, at)
    found = ticks(use_case, after, len(utc))
    assert [f"{tick:%m-%dT%H:%M}" for tick in found] == utc
    for tick in found:
        due = due_partition(use_case, tick)
        assert due is not None
        assert due.first == tick.date() - dt.timedelta(days=1)


def test_of_a_time_that_comes_twice_both_find_the_same_partition(flight_delays: UseCase) -> None:
    use_case = with_deadline(flight_delays, "01:30")
    twice = [dt.datetime(2026, 11, 1, hour, 30, tzinfo=dt.UTC) for hour in (5, 6)]
    assert {str(due_partition(use_case, moment)) for moment in twice} == {str(due_partition(use_case, twice[0]))}


def test_a_week_is_due_once_it_has_ended(flight_delays: UseCase) -> None:
    use_case = with_deadline(load_use_case("household_spend"), at="03:00")
    days = [dt.datetime(2017, 1, day, 11, tzinfo=dt.UTC) for day in (9, 10, 15, 16)]
    due = [due_partition(use_case, day) for day in days]
    assert [each and each.key for each in due] == ["2017-01-02", "2017-01-02", "2017-01-02", "2017-01-09"]


def test_a_schedule_that_has_ended_alerts_nobody(flight_delays: UseCase) -> None:
    use_case = with_deadline(flight_delays, end=dt.date(2013, 12, 30))
    assert chain(use_case).end_date == dt.datetime(2013, 12, 31, 13, tzinfo=dt.UTC)
    assert serialized(use_case).next_dagrun_info(last_automated_run_info=None) is None
    assert serialized(with_deadline(flight_delays)).next_dagrun_info(last_automated_run_info=None) is not None
