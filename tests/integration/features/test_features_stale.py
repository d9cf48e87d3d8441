"""Corrections reach exactly the feature partitions that read them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import ClientCursor, sql

from flight_sources import ask
from mlforge import db
from mlforge.db.content import EMPTY_HASH, combine_hashes, partition_hashes
from mlforge.features import build_features
from mlforge.features.stale import downstream_of, refreshable_keys, stale_partitions
from mlforge.ingest import publish_partition
from mlforge.ingest.warehouse import published_columns
from mlforge.refs import CheckedPartition, PartitionRange
from mlforge.settings import Settings
from mlforge.spec import UseCase, load_use_case
from mlforge.spec.use_case import FeatureView

pytestmark = pytest.mark.integration
DAYS = ["2013-04-01", "2013-04-02", "2013-04-03", "2013-04-04", "2013-04-05"]
RECENT = """
SELECT origin, %(end)s AS event_timestamp, %(end)s AS known_at, avg(temp)::double precision AS mean_temp
FROM warehouse.flight_delays__weather
WHERE event_timestamp >= %(end)s - interval '3 days' AND event_timestamp < %(end)s GROUP BY origin
"""
VALUES = {
    "origin": "origin",
    "temp": "(%(temp)s + hour)::double precision",
    "time_hour": "%(key)s::timestamptz + make_interval(hours => hour)",
}


@pytest.fixture
def weather_only(monkeypatch: pytest.MonkeyPatch) -> UseCase:
    """A use case of one dataset with two views: one reads its day, one the two days before too."""
    whole = load_use_case("flight_delays")
    original = UseCase.sql
    monkeypatch.setattr(UseCase, "sql", lambda self, name: RECENT if "recent" in name else original(self, name))
    views = {"weather": FeatureView(lookback_days=0), "recent": FeatureView(lookback_days=2)}
    return whole.model_copy(update={"datasets": {"weather": whole.datasets["weather"]}, "features": views})


def publish(use_case: UseCase, key: str, temp: int) -> int:
    """Publish a day whose temperatures begin with a number, as an attempt does that passed its check."""
    contract = use_case.contract("weather")
    chosen = [
        f"{VALUES.get(c.name, f'0::{c.sql_type}' if c.required else f'NULL::{c.sql_type}')} AS {c.name}"
        for c in contract.columns
    ]
    with db.connect() as connection:
        (attempt,) = connection.execute("SELECT nextval('ledger.attempt_numbers')").fetchone() or (0,)
        connection.execute(
            "INSERT INTO ledger.attempts (use_case, dataset, partition_key, attempt, raw_hash, code_version)"
            " VALUES ('flight_delays', 'weather', %s, %s, %s, 'c')",
            [key, attempt, f"h{temp}"],
        )
        table = f"flight_delays__weather__a{attempt}"
        query = (
            f"CREATE UNLOGGED TABLE staging.{table} AS SELECT *, %(key)s::text AS partition_key, time_hour AS"
            f" event_timestamp, time_hour + interval '1 hour' AS known_at, row_number() OVER () AS _row_id,"
            f" 1::bigint AS _copies, NULL::text[] AS _rules FROM (SELECT {', '.join(chosen)}"
            " FROM unnest(ARRAY['EWR', 'JFK']) AS origin, generate_series(0, 18, 6) AS hour) AS q"
        )
        connection.execute(ClientCursor(connection).mogrify(query, {"key": key, "temp": temp}).encode())
        hashes = {key: EMPTY_HASH} | partition_hashes(
            connection, sql.Identifier("staging", table), published_columns(use_case, "weather")
        )
    checked = CheckedPartition(
        use_case="flight_delays", dataset="weather", partition_key=key, uri=f"staging.{table}", rows=8, rows_in=8,
        content_hash=combine_hashes(hashes), code_version="c", attempt=attempt, rows_quarantined=0, rows_duplicate=0,
        raw_uri="u", raw_hash=f"h{temp}",
    )  # fmt: skip
    return publish_partition(use_case, checked).changed


def build(use_case: UseCase, key: str) -> int:
    return build_features(use_case, use_case.partitions(key)).changed


def empty() -> None:
    with db.connect() as connection:
        for table in ("warehouse.flight_delays__weather", "features.flight_delays__weather",
                      "features.flight_delays__recent"):  # fmt: skip
            connection.execute(f"DROP TABLE IF EXISTS {table}".encode())
        connection.execute("TRUNCATE ledger.publications, ledger.attempts, ledger.feature_publications")


def content() -> list[Any]:
    tables = ("warehouse.flight_delays__weather", "features.flight_delays__weather", "features.flight_delays__recent")
    return [ask(f"SELECT t::text FROM {table} AS t ORDER BY 1") for table in tables]


def test_a_correction_makes_stale_what_reads_it_and_nothing_else(database: Settings, weather_only: UseCase) -> None:
    for key in DAYS:
        publish(weather_only, key, 10)
        build(weather_only, key)
    assert stale_partitions(weather_only) == []
    # Most columns have no value at all, and the profiles are there nevertheless.
    assert ask("SELECT count(*), min(columns->'dewp'->>'nulls') FROM ledger.profiles") == [(5, "8")]
    publish(weather_only, DAYS[1], 20)
    stale = stale_partitions(weather_only)
    assert [(part.view, part.partition_key) for part in stale] == [
        ("recent", DAYS[1]), ("recent", DAYS[2]), ("recent", DAYS[3]), ("weather", DAYS[1]),
    ]  # fmt: skip
    assert {part.why for part in stale} == {f"weather {DAYS[1]} version 2 came after it was built"}
    assert downstream_of(weather_only, "weather", [DAYS[1]]) == DAYS[1:4]
    assert refreshable_keys(weather_only, without=[DAYS[1]]) == DAYS[2:4]
    before = ask("SELECT count(*) FROM ledger.feature_publications")
    assert build(weather_only, DAYS[0]) == build(weather_only, DAYS[4]) == 0
    assert ask("SELECT count(*) FROM ledger.feature_publications") == before  # not even computed
    assert [build(weather_only, key) for key in DAYS[1:4]] == [2, 1, 1]
    assert stale_partitions(weather_only) == []


def test_what_is_corrected_back_is_not_stale(database: Settings, weather_only: UseCase) -> None:
    publish(weather_only, DAYS[0], 10)
    build(weather_only, DAYS[0])
    publish(weather_only, DAYS[0], 20)
    assert refreshable_keys(weather_only) == DAYS[:1]
    publish(weather_only, DAYS[0], 10)
    assert refreshable_keys(weather_only) == []


def test_another_lookback_alone_makes_nobody_rebuild_by_itself(database: Settings, weather_only: UseCase) -> None:
    publish(weather_only, DAYS[0], 10)
    build(weather_only, DAYS[0])
    wider = weather_only.model_copy(
        update={"features": {**weather_only.features, "recent": FeatureView(lookback_days=5)}}
    )
    (part,) = stale_partitions(wider)
    assert part.why == "the view declares another lookback than it was built with: 5 days now"
    assert refreshable_keys(wider) == []


steps = st.lists(st.tuples(st.sampled_from(["publish", "build"]), st.sampled_from(DAYS), st.integers(1, 2)), max_size=9)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_any_order_of_publishing_building_and_correcting_ends_in_the_same(
    module_database: Settings, weather_only: UseCase, steps: list[tuple[str, str, int]]
) -> None:
    empty()
    last: dict[str, int] = {}
    published = {key for step, key, _ in steps if step == "publish"}
    for step, key, temp in [*steps, *(("publish", key, 3) for key in reversed(DAYS) if key not in published)]:
        if step == "publish":
            publish(weather_only, key, temp)
            last[key] = temp
        elif key in last:
            build(weather_only, key)
    built = {key for (key,) in ask("SELECT DISTINCT partition_key FROM ledger.feature_publications")}
    for key in sorted(set(DAYS) - built, reverse=True):
        build(weather_only, key)
    for key in refreshable_keys(weather_only):
        build(weather_only, key)
    assert stale_partitions(weather_only) == []
    found = content()
    empty()
    for key in DAYS:
        publish(weather_only, key, last[key])
        build(weather_only, key)
    assert content() == found


# What flight_delays declares is what its SQL reads: no day less would do, no day more is needed.
DAY = "2013-02-20"
TRAILING = ("carrier_delays", "route_delays", "origin_hour_delays", "tail_delays")


@pytest.fixture(scope="module")
def planted(fill: Callable[[PartitionRange], None], use_case: UseCase) -> UseCase:
    """Six weeks, and in each of two old days a flight that became known as late as the contract allows."""
    empty()
    fill(PartitionRange.between("2013-01-15", DAY))
    with db.connect() as connection:
        for key in (first_day(use_case, 0), first_day(use_case, 1)):
            connection.execute(
                "UPDATE warehouse.flight_delays__flights SET minute = 59, dep_delay = 2880, air_time = 1200,"
                " arr_delay = 2800, tailnum = 'N99999', time_hour = partition_key::timestamptz + interval '23 hours'"
                " WHERE ctid = (SELECT ctid FROM warehouse.flight_delays__flights WHERE partition_key = %s"
                " AND arr_delay IS NOT NULL LIMIT 1)",
                [key],
            )
        known_at = use_case.datasets["flights"].known_at
        connection.execute(f"UPDATE warehouse.flight_delays__flights SET known_at = {known_at}".encode())
    return use_case


def first_day(use_case: UseCase, more: int) -> str:
    """Return the first day of the declared window of `DAY`, or some days before it."""
    lookback = use_case.features["tail_delays"].lookback_days
    assert lookback is not None
    return str(dt.date.fromisoformat(DAY) - dt.timedelta(days=lookback + more))


def computed(use_case: UseCase, view: str, first: str | None) -> list[str]:
    """Return what a view's SQL gives when nothing before a day is published."""
    days = use_case.partitions(DAY)
    bound = {"start": days.start, "end": days.end, "partition_key": DAY}
    with db.connect() as connection:
        if first is not None:
            connection.execute("DELETE FROM warehouse.flight_delays__flights WHERE partition_key < %s", [first])
        rows = connection.execute(use_case.sql(f"features/{view}.sql").encode(), bound).fetchall()
        connection.rollback()
    return sorted(map(repr, rows))


@pytest.mark.parametrize("view", TRAILING)
def test_the_declared_window_gives_what_everything_gives_and_a_day_less_does_not(planted: UseCase, view: str) -> None:
    everything = computed(planted, view, None)
    assert everything
    assert computed(planted, view, first_day(planted, 0)) == everything
    assert computed(planted, view, first_day(planted, -1)) != everything


def test_every_view_declares_its_window(use_case: UseCase) -> None:
    declared = {name: view.lookback_days for name, view in use_case.features.items() if not view.static}
    assert declared == {**dict.fromkeys(TRAILING, 30), "weather": 0}
