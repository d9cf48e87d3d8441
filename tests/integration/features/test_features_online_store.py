"""The guarded online store against Feast's own: any order of writes ends with the newest values."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations

import psycopg
import pytest
from feast import Entity, FeatureView, Field, ValueType
from feast.infra.key_encoding_utils import deserialize_entity_key
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Float64, String
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlforge import db
from mlforge.features.store import close_store, online_store, open_store
from mlforge.features.stores.online import GuardedOnlineStore, count_writes
from mlforge.settings import Settings

pytestmark = pytest.mark.integration

START = datetime(2013, 1, 1, tzinfo=UTC)
VIEW = FeatureView(
    name="guarded",
    entities=[Entity(name="carrier", join_keys=["carrier"], value_type=ValueType.STRING)],
    ttl=timedelta(days=7),
    schema=[Field(name="carrier", dtype=String), Field(name="delay", dtype=Float64), Field(name="kind", dtype=String)],
    source=PostgreSQLSource(name="guarded", table="features.guarded", timestamp_field="event_timestamp"),
)


@pytest.fixture(scope="module")
def store(module_database: Settings) -> Iterator[GuardedOnlineStore]:
    close_store()
    guarded = online_store(open_store())
    assert isinstance(guarded, GuardedOnlineStore)
    guarded.update(open_store().config, [], [VIEW], [], [], partial=True)
    yield guarded
    guarded.teardown(open_store().config, [VIEW], [])
    close_store()


@pytest.fixture
def empty(store: GuardedOnlineStore) -> GuardedOnlineStore:
    _clear()
    return store


def _clear() -> None:
    with db.connect() as connection:
        connection.execute("TRUNCATE online.mlforge_guarded")


def _key(carrier: str) -> EntityKey:
    return EntityKey(join_keys=["carrier"], entity_values=[Value(string_val=carrier)])


def _row(carrier: str, delay: float, event: int, known: int | None = 0):
    values = {"delay": Value(double_val=delay), "kind": Value(string_val=f"k{delay}")}
    created = None if known is None else START + timedelta(days=known)
    return _key(carrier), values, START + timedelta(days=event), created


def _write(store: GuardedOnlineStore, *rows) -> tuple[int, int]:
    with count_writes() as count:
        store.online_write_batch(open_store().config, VIEW, list(rows), None)
    return count.written, count.kept


def _read(store: GuardedOnlineStore, carrier: str) -> tuple[datetime | None, float | None]:
    ((time, values),) = store.online_read(open_store().config, VIEW, [_key(carrier)])
    return time, None if values is None else values["delay"].double_val


def test_an_older_value_never_overwrites_a_newer_one(empty: GuardedOnlineStore) -> None:
    assert _write(empty, _row("UA", 200.0, event=5)) == (1, 0)
    assert _write(empty, _row("UA", 100.0, event=3), _row("AA", 1.0, event=3)) == (1, 1)
    assert _read(empty, "UA") == (START + timedelta(days=5), 200.0)
    assert _read(empty, "AA")[1] == 1.0


def test_a_correction_of_the_same_moment_is_written(empty: GuardedOnlineStore) -> None:
    _write(empty, _row("UA", 1.0, event=5, known=5))
    assert _write(empty, _row("UA", 2.0, event=5, known=5)) == (1, 0)
    assert _write(empty, _row("UA", 3.0, event=5, known=4)) == (0, 1)
    assert _read(empty, "UA")[1] == 2.0


def test_one_batch_may_hold_an_entity_twice(empty: GuardedOnlineStore) -> None:
    assert _write(empty, _row("UA", 1.0, event=4), _row("UA", 2.0, event=5), _row("UA", 3.0, event=3)) == (1, 0)
    assert _read(empty, "UA")[1] == 2.0


def test_an_unknown_entity_has_nothing(empty: GuardedOnlineStore) -> None:
    assert _read(empty, "ZZ") == (None, None)


ROWS = st.tuples(
    st.sampled_from(["UA", "AA", "B"]),
    st.floats(-100, 100),
    st.integers(0, 5),
    st.one_of(st.none(), st.integers(0, 3)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(ROWS, min_size=1, max_size=4), min_size=2, max_size=4), data=st.data())
def test_any_order_of_writes_ends_with_the_newest(empty: GuardedOnlineStore, batches, data) -> None:
    # Two values of one age would be a correction, for which the order counts: age decides the value here.
    def exact(row):
        carrier, _, event, known = row
        return _row(carrier, event * 10.0 + (-1 if known is None else known), event, known)

    for order in (range(len(batches)), data.draw(st.permutations(range(len(batches))))):
        _clear()
        for number in order:
            _write(empty, *[exact(row) for row in batches[number]])
        for carrier in {row[0] for batch in batches for row in batch}:
            newest = max(
                (row[2], -1 if row[3] is None else row[3]) for batch in batches for row in batch if row[0] == carrier
            )
            assert _read(empty, carrier)[1] == newest[0] * 10.0 + newest[1]


def test_every_order_of_three_days_ends_the_same(empty: GuardedOnlineStore) -> None:
    for order in permutations(range(3)):
        _clear()
        for day in order:
            _write(empty, _row("UA", float(day), event=day, known=day))
        assert _read(empty, "UA") == (START + timedelta(days=2), 2.0)


def test_a_dropped_connection_heals(empty: GuardedOnlineStore) -> None:
    _write(empty, _row("UA", 1.0, event=1))
    with db.connect(autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    assert _read(empty, "UA")[1] == 1.0
    _write(empty, _row("UA", 2.0, event=2))
    assert _read(empty, "UA")[1] == 2.0


async def _read_async(store: GuardedOnlineStore) -> float:
    try:
        ((_, values),) = await store.online_read_async(open_store().config, VIEW, [_key("UA")])
    finally:
        await store.close()
    return values["delay"].double_val


def test_an_asynchronous_read_gives_the_same(empty: GuardedOnlineStore) -> None:
    import asyncio

    _write(empty, _row("UA", 7.0, event=1))
    assert asyncio.run(_read_async(empty)) == 7.0
    assert _read(empty, "UA")[1] == 7.0


def test_the_table_is_the_one_that_feast_writes(empty: GuardedOnlineStore) -> None:
    _write(empty, _row("UA", 1.5, event=1))
    with db.connect() as connection:
        rows = connection.execute(
            "SELECT entity_key, feature_name, value, value_text FROM online.mlforge_guarded ORDER BY feature_name"
        ).fetchall()
    assert [row[1] for row in rows] == ["delay", "kind"]
    assert deserialize_entity_key(rows[0][0]).entity_values[0].string_val == "UA"
    assert Value.FromString(rows[0][2]).double_val == 1.5
    assert [row[3] for row in rows] == ["1.5", "k1.5"]


def test_a_failed_write_leaves_nothing(empty: GuardedOnlineStore) -> None:
    with pytest.raises(psycopg.DataError):
        _write(empty, _row("UA", 1.0, event=1), _row("A\0", 1.0, event=1)[:1] + _bad_values())
    assert _read(empty, "UA") == (None, None)


def _bad_values():
    return {"kind": Value(string_val="a\0b")}, START, START
