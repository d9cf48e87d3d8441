"""Replayed days keep the shipped contracts, on the days too on which New York changes its clocks."""

from __future__ import annotations

import datetime as dt

import pytest

from flight_sources import ask, published
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase, load_use_case

pytestmark = pytest.mark.integration
# The seam of the years, both changes of a year whose changes fall on those of 2013, and of one whose do not.
DAYS = ["2013-12-31", "2014-01-01", "2015-03-08", "2015-11-01", "2018-03-11", "2018-11-04", "2026-11-20"]


@pytest.fixture
def playing(monkeypatch: pytest.MonkeyPatch) -> UseCase:
    """The shipped use case in an installation that plays histories again."""
    played = get_settings().model_copy(update={"replay": True})
    monkeypatch.setattr("mlforge.spec.use_case.get_settings", lambda: played)
    return load_use_case("flight_delays")


def publish(use_case: UseCase, key: str, dataset: str) -> tuple[int, int, int]:
    done = published(use_case, key, dataset)
    return done.rows, done.rows_quarantined, done.rows_duplicate


@pytest.mark.parametrize("day", DAYS)
def test_a_replayed_day_is_published_whole(module_database: Settings, playing: UseCase, day: str) -> None:
    flights, *of_flights = publish(playing, day, "flights")
    weather, *of_weather = publish(playing, day, "weather")
    assert (flights > 500, weather > 48) == (True, True)
    assert [*of_flights, *of_weather] == [0, 0, 0, 0]
    assert published(playing, day, "flights").changed == 0
    [(local_days, weekdays)] = ask(
        "SELECT array_agg(DISTINCT make_date(year, month, day)), count(*) FILTER (WHERE extract(dow FROM"
        " time_hour AT TIME ZONE 'America/New_York') <> extract(dow FROM make_date(year, month, day)))"
        " FROM warehouse.flight_delays__flights WHERE partition_key = %s",
        day,
    )
    asked = dt.date.fromisoformat(day)
    assert set(local_days) <= {asked - dt.timedelta(days=1), asked}
    assert weekdays == 0


def test_a_range_over_the_seam_gives_what_its_days_give(module_database: Settings, playing: UseCase) -> None:
    days = playing.partitions("2013-12-29..2014-01-02")
    assert published(playing, days.key, "weather").changed > 0
    for key in days.keys:
        assert published(playing, key, "weather").changed == 0
