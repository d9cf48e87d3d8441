"""Each row belongs to the partition in whose days its time falls, in UTC."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa

from mlforge.spec import load_use_case
from mlforge.spec.row_keys import row_keys


def _times(*texts: str | None) -> pa.Array:
    moments = [None if text is None else dt.datetime.fromisoformat(text) for text in texts]
    return pa.array(moments, pa.timestamp("us", tz="UTC"))


def test_a_day_begins_at_midnight_utc() -> None:
    times = _times("2013-03-10T23:59:59.999999+00:00", "2013-03-10T20:00:00-04:00", "2013-03-10T00:00:00+00:00")
    rows = pa.table({"time_hour": times})
    keys = row_keys(load_use_case("flight_delays"), "flights", rows).to_pylist()
    assert keys == ["2013-03-10", "2013-03-11", "2013-03-10"]


def test_a_week_is_named_by_its_first_day_before_the_schedule_too() -> None:
    times = _times("2017-01-08T23:00:00+00:00", "2017-01-09T00:00:00+00:00", "2017-01-01T12:00:00+00:00", None)
    rows = pa.table({"transaction_timestamp": times})
    keys = row_keys(load_use_case("household_spend"), "transactions", rows).to_pylist()
    assert keys == ["2017-01-02", "2017-01-09", "2016-12-26", "none"]


def test_a_static_dataset_is_one_partition() -> None:
    rows = pa.table({"tailnum": ["a", "b"]})
    assert row_keys(load_use_case("flight_delays"), "planes", rows).to_pylist() == ["static", "static"]
