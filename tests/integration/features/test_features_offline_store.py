"""The LATERAL join on small planted tables: each of the stock store's faults, and the bounds of time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Float64, String

from mlforge import db
from mlforge.features.store import close_store, open_store
from mlforge.settings import Settings

pytestmark = pytest.mark.integration

NOON = datetime(2013, 1, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FEATURES = ["planted:delay", "planted:kind"]


@pytest.fixture(scope="module")
def store(module_database: Settings) -> Iterator[FeatureStore]:
    close_store()
    store = open_store()
    left = Entity(name="a", join_keys=["a"], value_type=ValueType.STRING)
    right = Entity(name="b", join_keys=["b"], value_type=ValueType.STRING)
    source = PostgreSQLSource(
        name="planted",
        table="features.planted",
        timestamp_field="event_timestamp",
        created_timestamp_column="known_at",
    )
    schema = [Field(name=name, dtype=dtype) for name, dtype in
              [("a", String), ("b", String), ("delay", Float64), ("kind", String)]]  # fmt: skip
    view = FeatureView(name="planted", entities=[left, right], ttl=3 * HOUR, schema=schema, source=source)
    with db.connect() as connection:
        connection.execute(
            "CREATE TABLE features.planted (a text, b text, event_timestamp timestamptz, known_at timestamptz, "
            "delay double precision, kind text)"
        )
    store.apply([left, right, source, view])
    yield store
    store.teardown()
    close_store()


@pytest.fixture
def plant(store: FeatureStore):
    def rows(*planted: tuple[object, ...]) -> None:
        with db.connect() as connection:
            connection.execute("TRUNCATE features.planted")
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO features.planted VALUES (%s, %s, %s, %s, %s, %s)", planted)

    return rows


def _join(store: FeatureStore, spine: pd.DataFrame | str) -> list[float | None]:
    joined = store.get_historical_features(entity_df=spine, features=FEATURES).to_arrow()
    return joined.column("delay").to_pylist()


def _spine(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["a", "b", "event_timestamp"])


def test_the_newest_row_before_the_moment_is_joined(store: FeatureStore, plant) -> None:
    plant(
        ("x", "y", NOON - 2 * HOUR, NOON - 2 * HOUR, 1.0, "k"),
        ("x", "y", NOON - HOUR, NOON - HOUR, 2.0, "k"),
        ("x", "y", NOON + HOUR, NOON + HOUR, 3.0, "k"),
    )
    assert _join(store, _spine(("x", "y", NOON))) == [2.0]


def test_a_row_that_became_known_afterwards_is_not_joined(store: FeatureStore, plant) -> None:
    plant(
        ("x", "y", NOON - 2 * HOUR, NOON - 2 * HOUR, 1.0, "k"),
        ("x", "y", NOON - HOUR, NOON + HOUR, 99.0, "leak"),
    )
    assert _join(store, _spine(("x", "y", NOON), ("x", "y", NOON + HOUR))) == [1.0, 99.0]


def test_a_correction_counts_from_when_it_was_known(store: FeatureStore, plant) -> None:
    plant(
        ("x", "y", NOON - HOUR, NOON - HOUR, 1.0, "k"),
        ("x", "y", NOON - HOUR, NOON, 2.0, "corrected"),
    )
    assert _join(store, _spine(("x", "y", NOON - HOUR / 2), ("x", "y", NOON))) == [1.0, 2.0]


def test_a_row_lives_as_long_as_the_view_says_and_no_longer(store: FeatureStore, plant) -> None:
    plant(("x", "y", NOON - 3 * HOUR, NOON - 3 * HOUR, 1.0, "k"))
    assert _join(store, _spine(("x", "y", NOON), ("x", "y", NOON + timedelta(microseconds=1)))) == [1.0, None]


def test_composite_keys_do_not_run_into_each_other(store: FeatureStore, plant) -> None:
    plant(("A", "BC", NOON, NOON, 1.0, "k"), ("AB", "C", NOON, NOON, 2.0, "k"))
    assert _join(store, _spine(("AB", "C", NOON), ("A", "BC", NOON), ("ABC", "", NOON))) == [2.0, 1.0, None]


def test_rows_keep_their_number_and_order(store: FeatureStore, plant) -> None:
    plant(("x", "y", NOON, NOON, 1.0, "k"), ("u", "v", NOON, NOON, 2.0, "k"))
    twice = _spine(("u", "v", NOON + HOUR), ("x", "y", NOON), ("u", "v", NOON + HOUR), ("n", "n", NOON))
    assert _join(store, twice) == [2.0, 1.0, 2.0, None]
    assert _join(store, twice.sample(frac=1, random_state=1)).count(2.0) == 2


def test_an_absent_key_joins_nothing(store: FeatureStore, plant) -> None:
    plant(("x", "y", NOON, NOON, 1.0, "k"))
    assert _join(store, _spine((None, "y", NOON), ("x", "y", NOON))) == [None, 1.0]
    assert _join(store, _spine((None, "y", NOON))) == [None]


def test_a_spine_may_be_sql(store: FeatureStore, plant) -> None:
    plant(("x", "y", NOON, NOON, 1.0, "k"))
    query = (
        "SELECT 'x' AS a, 'y' AS b, timestamptz '2013-01-10T12:00Z' - i * interval '1 hour' AS event_timestamp "
        "FROM generate_series(0, 2) AS i"
    )
    assert _join(store, query) == [1.0, None, None]


def test_a_spine_without_an_offset_is_utc(store: FeatureStore, plant) -> None:
    plant(("x", "y", NOON, NOON, 1.0, "k"))
    assert _join(store, _spine(("x", "y", NOON.replace(tzinfo=None)))) == [1.0]


def test_texts_and_types_come_as_they_are(store: FeatureStore, plant) -> None:
    plant(("x", "y", NOON, NOON, None, "späť"))
    frame = store.get_historical_features(entity_df=_spine(("x", "y", NOON)), features=FEATURES).to_df()
    assert frame["kind"].tolist() == ["späť"]
    assert frame["delay"].isna().all()
    assert str(frame["event_timestamp"].dtype).startswith("datetime64[")
