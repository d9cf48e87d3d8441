from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlforge.features.online import judge

MOMENT = datetime(2013, 4, 2, tzinfo=UTC)
TTL = timedelta(hours=3)


@pytest.mark.parametrize(
    ("age", "flag"),
    [
        (timedelta(0), None),
        (TTL, None),
        (TTL + timedelta(microseconds=1), "stale"),
        (-timedelta(microseconds=1), "ahead"),
    ],
)
def test_the_bounds_are_those_of_the_offline_join(age: timedelta, flag: str | None) -> None:
    assert judge(MOMENT - age, MOMENT, TTL) == flag


def test_nothing_is_missing() -> None:
    assert judge(None, MOMENT, TTL) == "missing"


@given(st.timedeltas(timedelta(0), timedelta(days=10_000)))
def test_without_a_time_to_live_nothing_is_stale(age: timedelta) -> None:
    assert judge(MOMENT - age, MOMENT, timedelta(0)) is None
