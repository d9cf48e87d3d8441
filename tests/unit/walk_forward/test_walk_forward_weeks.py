from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlforge.errors import PartitionKeyError
from mlforge.spec import UseCase, load_use_case
from mlforge.walk_forward.rows import _runs
from mlforge.walk_forward.weeks import (
    UnfinishedWeekError,
    Week,
    first_week,
    last_week,
    parse_weeks,
    weeks_between,
)

_INSTANTS = st.datetimes(datetime(2012, 1, 1), datetime(2014, 1, 1)).map(lambda instant: instant.replace(tzinfo=UTC))  # noqa: DTZ001


def test_weeks_of_days_begin_on_mondays(flight_delays: UseCase) -> None:
    assert (first_week(flight_delays).key, last_week(flight_delays).key) == ("2013-01-07", "2013-12-23")


def test_weeks_of_weekly_partitions_are_the_partitions() -> None:
    use_case = load_use_case("household_spend")
    assert (first_week(use_case).key, last_week(use_case).key) == ("2017-01-02", "2017-12-25")
    shifted = use_case.schedule.model_copy(update={"start": date(2017, 1, 4), "end": date(2017, 12, 27)})
    wednesdays = use_case.model_copy(update={"schedule": shifted})
    assert (first_week(wednesdays).key, last_week(wednesdays).key) == ("2017-01-04", "2017-12-27")


def test_an_endless_schedule_ends_with_the_last_week_that_is_over(flight_delays: UseCase) -> None:
    endless = flight_delays.schedule.model_copy(update={"end": None})
    week = last_week(flight_delays.model_copy(update={"schedule": endless}))
    assert week.end <= datetime.now(UTC) < week.end + timedelta(days=7)


def test_a_range_has_each_week(flight_delays: UseCase) -> None:
    weeks = parse_weeks(flight_delays, "2013-03-25..2013-04-08")
    assert [week.key for week in weeks] == ["2013-03-25", "2013-04-01", "2013-04-08"]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("2013-04-02", "a Tuesday.*first day, 2013-04-01"),
        ("2012-12-31", "outside 2013-01-07..2013-12-23"),
        ("2014-02-03", "outside"),
        ("soon", "no day"),
    ],
)
def test_a_wrong_key_says_what_is_right(flight_delays: UseCase, key: str, said: str) -> None:
    with pytest.raises(PartitionKeyError, match=said):
        parse_weeks(flight_delays, key)


def test_a_week_that_the_schedule_cuts_short_is_unfinished(flight_delays: UseCase) -> None:
    with pytest.raises(UnfinishedWeekError):
        parse_weeks(flight_delays, "2013-12-30")


@given(start=_INSTANTS, length=st.integers(1, 400), anchor=st.dates(date(2012, 1, 1), date(2014, 1, 1)))
def test_weeks_between_two_instants_hold_all_of_it_and_touch_nothing_else(
    start: datetime, length: int, anchor: date
) -> None:
    end = start + timedelta(days=length)
    weeks = list(weeks_between(start, end, Week(anchor)))
    assert weeks[0].as_of <= start < weeks[0].end
    assert weeks[-1].as_of < end <= weeks[-1].end
    assert all(before.after == after for before, after in itertools.pairwise(weeks))
    assert (weeks[0].first - anchor).days % 7 == 0


@given(places=st.sets(st.integers(0, 30)), first=st.dates(date(2012, 1, 1), date(2014, 1, 1)))
def test_weeks_that_follow_each_other_are_joined_at_once(places: set[int], first: date) -> None:
    weeks = [Week(first + timedelta(days=7 * place)) for place in sorted(places)]
    runs = list(_runs(weeks))
    assert [week for run in runs for week in run] == weeks
    for run in runs:
        assert [week.first for week in run] == [run[0].first + timedelta(days=7 * step) for step in range(len(run))]
    assert all(before[-1].after != after[0] for before, after in itertools.pairwise(runs))
