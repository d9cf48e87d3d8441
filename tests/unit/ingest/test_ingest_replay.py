"""A history of 364 days, played again."""

from __future__ import annotations

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlforge.ingest import extract_partition
from mlforge.ingest.replay import replay_rows
from mlforge.ingest.source import DAY
from mlforge.refs import PartitionRange
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase, load_use_case
from mlforge.spec.sources import Replay

NEW_YORK = ZoneInfo("America/New_York")
REPLAY = Replay.model_validate(
    {"first": dt.date(2013, 1, 1), "timezone": "America/New_York", "move": ["landed"],
     "parts": {"year": "year", "month": "month", "day": "day"}}
)  # fmt: skip
HOUR = dt.timedelta(hours=1)


def history() -> pa.Table:
    """Return a row for each hour of 2013 in New York, with what the local clock showed."""
    start = dt.datetime(2013, 1, 1, tzinfo=NEW_YORK).astimezone(dt.UTC)
    moments = [start + n * HOUR for n in range(365 * 24)]
    local = [moment.astimezone(NEW_YORK) for moment in moments]
    utc = pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            "at": pa.array(moments, utc),
            "landed": pa.array([moment + 3 * HOUR for moment in moments], utc),
            "hour": pa.array([moment.hour for moment in local], pa.int16()),
            "weekday": pa.array([moment.weekday() for moment in local], pa.int16()),
            "year": pa.array([0] * len(moments), pa.int16()),
            "month": pa.array([0] * len(moments), pa.int16()),
            "day": pa.array([0] * len(moments), pa.int16()),
            DAY: pa.array([moment.date() for moment in moments], pa.date32()),
        }
    )


HISTORY = history()


def read(first: dt.date, last: dt.date) -> pa.Table:
    return HISTORY.filter(pc.and_(pc.greater_equal(HISTORY[DAY], first), pc.less_equal(HISTORY[DAY], last)))


def replayed(day: dt.date) -> pa.Table:
    return replay_rows(read, REPLAY, "at", PartitionRange(day, day))


def change_days(year: int) -> list[dt.date]:
    """Return the days on which New York changes its clocks."""
    days = [dt.date(year, 1, 1) + n * dt.timedelta(days=1) for n in range(365)]
    noon = dt.time(12, tzinfo=NEW_YORK)
    offset = {day: dt.datetime.combine(day, noon).utcoffset() for day in days}
    return [day for before, day in itertools.pairwise(days) if offset[before] != offset[day]]


CHANGES = [day for year in range(2014, 2028) for day in change_days(year)]
# Days, mostly of one length, on which the history's days of 23 and of 25 hours come again.
IMAGES = [
    day + n * dt.timedelta(days=364) for day in (dt.date(2013, 3, 10), dt.date(2013, 11, 3)) for n in range(1, 15)
]
AROUND = [day + n * dt.timedelta(days=1) for day in CHANGES + IMAGES for n in (-1, 0, 1)]
any_day = st.dates(dt.date(2013, 12, 31), dt.date(2027, 12, 31)) | st.sampled_from(AROUND)


@given(day=any_day)
def test_a_day_has_its_weekday_its_hours_and_its_date(day: dt.date) -> None:
    table = replayed(day)
    assert table == replayed(day)
    assert len(table) in (23, 24)
    moments = table["at"].to_pylist()
    assert len(set(moments)) == len(moments)
    for row in table.to_pylist():
        local = row["at"].astimezone(NEW_YORK)
        assert row["at"].date() == row[DAY] == day
        assert (row["hour"], row["weekday"]) == (local.hour, local.weekday())
        assert (row["year"], row["month"], row["day"]) == (local.year, local.month, local.day)
        # It landed three hours later by the clock of its day, which an hour's change may stretch or shrink.
        assert row["landed"] - row["at"] in (2 * HOUR, 3 * HOUR, 4 * HOUR)


@settings(max_examples=20)
@given(day=any_day)
def test_a_range_is_its_days(day: dt.date) -> None:
    days = PartitionRange(day, day + dt.timedelta(days=3))
    table = replay_rows(read, REPLAY, "at", days)
    by_day = pa.concat_tables([replayed(part.first) for part in days])
    assert table.sort_by("at") == by_day.sort_by("at")


def test_clocks_change_on_the_days_that_were_meant() -> None:
    assert CHANGES[:4] == [dt.date(2014, 3, 9), dt.date(2014, 11, 2), dt.date(2015, 3, 8), dt.date(2015, 11, 1)]


def test_a_skipped_hour_has_no_rows_and_a_repeated_one_has_those_there_are() -> None:
    spring, autumn = change_days(2018)
    assert 2 not in replayed(spring)["hour"].to_pylist()
    assert replayed(autumn)["hour"].to_pylist().count(1) == 1
    assert replayed(dt.date(2018, 10, 28))["hour"].to_pylist().count(1) == 1, "the history's twenty-fifth hour"
    assert replayed(dt.date(2014, 11, 2))["hour"].to_pylist().count(1) == 2, (
        "2013 repeated this hour on the same Sunday"
    )


@pytest.fixture
def playing(installation: Settings, monkeypatch: pytest.MonkeyPatch) -> UseCase:
    """The shipped use case in an installation that plays histories again."""
    monkeypatch.setattr(
        "mlforge.spec.use_case.get_settings", lambda: get_settings().model_copy(update={"replay": True})
    )
    return load_use_case("flight_delays")


@pytest.mark.parametrize("dataset", ["flights", "weather"])
def test_the_recorded_days_are_the_same_with_and_without(
    installation: Settings, flight_delays: UseCase, playing: UseCase, monkeypatch: pytest.MonkeyPatch, dataset: str
) -> None:
    days = PartitionRange.parse("2013-12-30")
    again = extract_partition(playing, dataset, days)
    monkeypatch.undo()
    assert extract_partition(flight_delays, dataset, days) == again


def test_the_same_day_is_the_same_file_and_a_range_crosses_the_seam(playing: UseCase) -> None:
    day = PartitionRange.parse("2026-11-01")
    assert extract_partition(playing, "flights", day) == extract_partition(playing, "flights", day)
    seam = extract_partition(playing, "weather", PartitionRange.between("2013-12-29", "2014-01-01"))
    parts = [
        extract_partition(playing, "weather", part).rows for part in PartitionRange.between("2013-12-29", "2014-01-01")
    ]
    assert seam.rows == sum(parts)
