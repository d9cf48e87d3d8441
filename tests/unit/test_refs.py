from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlforge.errors import PartitionKeyError
from mlforge.refs import CheckedPartition, PartitionRange, RawPartition

DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))


@given(first=DAYS, length=st.integers(1, 400))
def test_a_key_names_its_range_and_comes_back(first: date, length: int) -> None:
    days = PartitionRange(first, first + timedelta(days=length - 1))
    assert PartitionRange.parse(days.key) == days
    assert len(days) == len(list(days)) == length
    assert [day.key for day in days] == days.keys
    assert days.end - days.start == timedelta(days=length)


@pytest.mark.parametrize("key", ["", "tomorrow", "2013-13-01", "2013-1-1", "20130101", "2013-01-01T00", "2013-02-01.."])
def test_a_key_that_is_no_day_is_one_clear_error(key: str) -> None:
    with pytest.raises(PartitionKeyError, match="2013-04-01"):
        PartitionRange.parse(key)


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(PartitionKeyError, match="ends before it starts"):
        PartitionRange.parse("2013-02-01..2013-01-01")


def test_a_day_is_a_utc_day() -> None:
    day = PartitionRange.parse("2013-03-10")
    assert (day.start, day.end) == (datetime(2013, 3, 10, tzinfo=UTC), datetime(2013, 3, 11, tzinfo=UTC))


def test_a_ref_passes_as_json_and_refuses_what_it_does_not_know() -> None:
    ref = RawPartition(
        use_case="u",
        dataset="d",
        partition_key="2013-01-01",
        uri="file:///x",
        source_uri="y",
        rows=1,
        content_hash="h",
        code_version="c",
    )
    assert RawPartition.load(ref.dump()) == ref
    with pytest.raises(ValueError, match="Extra inputs"):
        RawPartition.load({**ref.dump(), "surprise": 1})
    with pytest.raises(ValueError, match="Field required"):
        CheckedPartition.load(ref.dump())


def test_weeks_are_named_by_their_first_day() -> None:
    weeks = PartitionRange.parse("2017-01-01..2017-01-15", step_days=7)
    assert weeks.keys == ["2017-01-01", "2017-01-08", "2017-01-15"]
    assert str(weeks.end) == "2017-01-22 00:00:00+00:00"
    assert weeks.key_of(date(2017, 1, 14)) == "2017-01-08"
    assert [str(week.end - week.start) for week in weeks] == ["7 days, 0:00:00"] * 3
