"""When a training may be asked for and must be decided, on a clock that is put forward and back."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlforge.spec.retraining import Retraining

NEW_YORK = "America/New_York"


def end_of(day: str) -> dt.datetime:
    """Return the first instant after a UTC day."""
    return dt.datetime.combine(dt.date.fromisoformat(day), dt.time(), dt.UTC) + dt.timedelta(days=1)


def asks(day: str, at: str, zone: str = NEW_YORK) -> str:
    return f"{Retraining.model_validate({'at': at, 'timezone': zone}).asks_from(end_of(day)):%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("day", "at", "zone", "utc"),
    [
        ("2013-04-01", "03:00", "UTC", "2013-04-02T03:00"),
        ("2013-04-01", "00:00", "UTC", "2013-04-02T00:00"),
        ("2013-04-01", "03:00", NEW_YORK, "2013-04-02T07:00"),  # the UTC day ends at 20:00 of the same day there
        ("2013-01-01", "03:00", NEW_YORK, "2013-01-02T08:00"),
        ("2013-04-01", "21:00", NEW_YORK, "2013-04-02T01:00"),
        ("2013-04-01", "03:00", "Asia/Tokyo", "2013-04-02T18:00"),  # and at 09:00 of the next day here
        ("2013-04-01", "01:30", "Europe/Berlin", "2013-04-02T23:30"),  # the day has not ended at the first 01:30
    ],
)
def test_it_is_the_first_such_time_after_the_partition_has_ended(day: str, at: str, zone: str, utc: str) -> None:
    assert asks(day, at, zone) == utc


def test_a_time_that_the_clock_skips_is_as_much_later() -> None:
    assert asks("2026-03-06", "02:30") == "2026-03-07T07:30"
    assert asks("2026-03-07", "02:30") == "2026-03-08T07:30"  # 02:30 does not exist there: it is 03:30
    assert asks("2026-03-08", "02:30") == "2026-03-09T06:30"


def test_of_a_time_that_comes_twice_it_is_the_first() -> None:
    assert asks("2026-10-30", "01:30") == "2026-10-31T05:30"
    assert asks("2026-10-31", "01:30") == "2026-11-01T05:30"
    assert asks("2026-11-01", "01:30") == "2026-11-02T06:30"


def test_without_a_time_it_is_at_once_and_without_a_deadline_never() -> None:
    assert Retraining().asks_from(end_of("2013-04-01")) == end_of("2013-04-01")
    assert Retraining().decided_by(end_of("2013-04-01")) is None


@pytest.mark.parametrize(
    ("at", "deadline", "utc"),
    [
        ("03:00", "06:00", "2013-04-02T10:00"),
        (None, "06:00", "2013-04-02T10:00"),
        ("22:00", "06:00", "2013-04-02T10:00"),  # at 22:00 of the evening before
        ("06:00", "03:00", "2013-04-03T07:00"),  # the night after: a decision needs its question first
        ("06:00", "06:00", "2013-04-03T10:00"),
    ],
)
def test_the_deadline_follows_the_time_of_asking(at: str | None, deadline: str, utc: str) -> None:
    retraining = Retraining.model_validate({"at": at, "deadline": deadline, "timezone": NEW_YORK})
    assert f"{retraining.decided_by(end_of('2013-04-01')):%Y-%m-%dT%H:%M}" == utc


@given(
    day=st.dates(dt.date(2013, 1, 1), dt.date(2030, 12, 31)),
    clock=st.times().map(lambda time: time.replace(second=0, microsecond=0)),
    zone=st.sampled_from(["UTC", NEW_YORK, "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"]),
)
def test_it_comes_within_a_day_and_shows_the_time(day: dt.date, clock: dt.time, zone: str) -> None:
    end = end_of(str(day))
    instant = Retraining(at=clock, timezone=zone).asks_from(end)
    # A clock that was put back makes a day of up to 25 hours.
    assert end <= instant <= end + dt.timedelta(hours=25)
    shown = instant.astimezone(ZoneInfo(zone))
    skipped = (dt.datetime.combine(shown.date(), clock) - shown.replace(tzinfo=None)) / dt.timedelta(hours=1)
    assert skipped in (0, -0.5, -1)


def test_yaml_reads_an_unquoted_time_as_a_number() -> None:
    assert Retraining.model_validate({"at": 750}).at == dt.time(12, 30)


def test_a_zone_that_there_is_not_is_named() -> None:
    with pytest.raises(ValidationError, match="no time zone 'Mars/Olympus'"):
        Retraining.model_validate({"timezone": "Mars/Olympus"})
