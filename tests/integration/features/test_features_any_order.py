"""Any order of materializations of any partitions, with corrections, ends in one online state: in every store of ours.

The same runs over Feast's own stores end elsewhere, which is why we have ours (docs/adr/0006).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from feast import Entity, FeatureStore, FeatureView, Field, RepoConfig, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Float64, Int64, String
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlforge import db
from mlforge.features.store import close_store, online_store, store_config
from mlforge.features.stores.rows import count_writes
from mlforge.settings import Settings
from redis_server import RedisServer

pytestmark = pytest.mark.integration

START = datetime(2013, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ENTITY = Entity(name="route", join_keys=["origin"], value_type=ValueType.STRING)
SECOND = Entity(name="hour", join_keys=["hour"], value_type=ValueType.INT64)
SOURCE = PostgreSQLSource(
    name="any_order",
    table="features.any_order",
    timestamp_field="event_timestamp",
    created_timestamp_column="known_at",
)
VIEW = FeatureView(
    name="any_order",
    entities=[ENTITY, SECOND],
    ttl=7 * DAY,
    schema=[
        Field(name="origin", dtype=String),
        Field(name="hour", dtype=Int64),
        Field(name="delay", dtype=Float64),
        Field(name="flights", dtype=Int64),
        Field(name="kind", dtype=String),
    ],
    source=SOURCE,
)
ORIGINS = ("EWR", "JFK")


@dataclass
class Online:
    """An online store of a real Feast store, and what a test does with it."""

    feast: FeatureStore
    clear: Callable[[], None]
    drop: Callable[[], None]

    def materialize(self, partition: Partition) -> None:
        """Let the offline table hold this version of a partition, and bring it online as Feast does."""
        start = START + partition.day * DAY
        with db.connect() as connection:
            connection.execute("DELETE FROM features.any_order WHERE partition_key = %s", [str(partition.day)])
            for origin in partition.origins:
                value = partition.day * 10.0 + partition.version
                connection.execute(
                    "INSERT INTO features.any_order VALUES (%s, 5, %s, %s, %s, %s, %s, %s)",
                    [origin, start + DAY, start + DAY + partition.version * timedelta(hours=1), value, -int(value),
                     None if partition.version == 1 else f"v{value}", str(partition.day)],
                )  # fmt: skip
        self.feast._get_provider().materialize_single_feature_view(
            self.feast.config,
            VIEW,
            start + timedelta(microseconds=1),
            start + DAY,
            self.feast.registry,
            "mlforge",
            None,
        )

    def state(self) -> dict[str, Any]:
        keys = [
            EntityKey(join_keys=["hour", "origin"], entity_values=[Value(int64_val=5), Value(string_val=origin)])
            for origin in ORIGINS
        ]
        rows = online_store(self.feast).online_read(self.feast.config, VIEW, keys, ["delay", "flights", "kind"])
        return {
            origin: (time, values["delay"].double_val, values["flights"].int64_val, values["kind"].string_val)
            for origin, (time, values) in zip(ORIGINS, rows, strict=True)
            if values is not None
        }

    def end(self, partitions: list[Partition]) -> dict[str, Any]:
        """Return the state after materializing these, in this order, from nothing."""
        self.clear()
        for partition in partitions:
            self.materialize(partition)
        return self.state()


@dataclass(frozen=True, order=True)
class Partition:
    """A version of a day's partition; a later version is a correction, known an hour later."""

    day: int
    version: int
    origins: tuple[str, ...] = ORIGINS


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="mlforge-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="module")
def online(module_database: Settings, redis_server: RedisServer) -> Iterator[Callable[[str], Online]]:
    close_store()
    with db.connect() as connection:
        connection.execute(
            "CREATE TABLE features.any_order (origin text, hour bigint, event_timestamp timestamptz, "
            "known_at timestamptz, delay float8, flights bigint, kind text, partition_key text)"
        )
    made: dict[str, Online] = {}

    def give(kind: str) -> Online:
        if kind not in made:
            made[kind] = _make(kind, redis_server)
        return made[kind]

    yield give
    for each in made.values():
        getattr(online_store(each.feast), "close_pool", lambda: None)()
    close_store()


def _make(kind: str, redis_server: RedisServer) -> Online:
    own = store_config()
    postgres = own["online_store"]
    guarded_redis = {"type": "mlforge.features.stores.redis.GuardedRedisOnlineStore", "url": redis_server.url}
    stock_redis = {**guarded_redis, "type": f"{__name__}.StockRedisStore"}
    chosen = {
        "postgresql": postgres,
        "redis": guarded_redis,
        "stock postgresql": {**postgres, "type": "postgres"},
        "stock redis": stock_redis,
    }
    if kind == "stock redis":
        from feast.infra.online_stores.redis import RedisOnlineStore

        feast = _feast({**own, "online_store": guarded_redis})
        stock = RedisOnlineStore()
        stock._client = online_store(feast)._get_client(feast.config.online_store)
        provider = feast._get_provider()
        provider._online_store, provider._batch_engine = stock, None
    else:
        feast = _feast({**own, "online_store": chosen[kind]})
    if "redis" in kind:
        return Online(feast, redis_server.clear, redis_server.drop_connections)
    return Online(feast, lambda: _sql("TRUNCATE online.mlforge_any_order"), _terminate)


def _feast(config: dict[str, Any]) -> FeatureStore:
    store = FeatureStore(config=RepoConfig(**config))
    store.apply([ENTITY, SECOND, SOURCE, VIEW])
    return store


def _sql(statement: str) -> None:
    with db.connect(autocommit=True) as connection:
        connection.execute(statement.encode())


def _terminate() -> None:
    _sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )


PARTITIONS = st.builds(
    Partition,
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from([ORIGINS, ORIGINS[:1], ORIGINS[1:]]),
)


@pytest.mark.parametrize("kind", ["postgresql", "redis"])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(partitions=st.lists(PARTITIONS, min_size=2, max_size=5, unique_by=lambda p: (p.day, p.version)), data=st.data())
def test_any_order_ends_as_the_ordered_one(online, kind: str, partitions: list[Partition], data: st.DataObject) -> None:
    store = online(kind)
    ordered = store.end(sorted(partitions))
    assert store.end(data.draw(st.permutations(partitions))) == ordered
    for origin in ORIGINS:
        versions = [partition for partition in partitions if origin in partition.origins]
        assert (origin in ordered) == bool(versions)
        if versions:
            assert ordered[origin][1] == max(versions).day * 10.0 + max(versions).version


# A day, its correction, and the day before it: what every order must bear.
CORRECTED = [Partition(0, 0), Partition(1, 0), Partition(1, 1)]


@pytest.mark.parametrize("kind", ["postgresql", "redis"])
def test_ours_bears_every_order_of_a_correction(online, kind: str) -> None:
    store = online(kind)
    ends = [store.end(list(order)) for order in permutations(CORRECTED)]
    assert all(end == ends[0] for end in ends)
    assert ends[0]["EWR"] == (START + 2 * DAY, 11.0, -11, "")


@pytest.mark.parametrize(
    ("kind", "order", "wrong"),
    [
        ("stock postgresql", [1, 2, 0], 0.0),  # an older day overwrites a newer one
        ("stock redis", [0, 1, 2], 10.0),  # the correction is ignored, even in order
    ],
)
def test_feasts_own_store_does_not(online, kind: str, order: list[int], wrong: float) -> None:
    store = online(kind)
    assert store.end([CORRECTED[place] for place in order])["EWR"][1] == wrong
    ends = [store.end(list(each)) for each in permutations(CORRECTED)]
    assert any(end["EWR"][1] != 11.0 for end in ends)


@pytest.mark.parametrize("kind", ["postgresql", "redis"])
def test_a_dropped_connection_heals(online, kind: str) -> None:
    store = online(kind)
    store.end(CORRECTED[:1])
    store.drop()
    assert store.state()["EWR"][1] == 0.0
    store.drop()
    store.materialize(CORRECTED[1])
    assert store.state()["EWR"][1] == 10.0


def test_a_restarted_redis_is_written_again(online, redis_server: RedisServer) -> None:
    store = online("redis")
    store.end(CORRECTED)
    redis_server.stop()
    redis_server.start()
    assert store.state() == {}
    store.materialize(CORRECTED[2])
    assert store.state()["EWR"][1] == 11.0


@pytest.mark.parametrize("kind", ["postgresql", "redis"])
def test_writes_are_counted(online, kind: str) -> None:
    store = online(kind)
    store.clear()
    with count_writes() as count:
        store.materialize(Partition(1, 0))
        store.materialize(Partition(0, 0))
        store.materialize(Partition(1, 1))
    assert (count.written, count.kept) == (4, 2)


@pytest.mark.parametrize("kind", ["postgresql", "redis"])
def test_rows_of_feasts_messages_obey_the_same_rule(online, kind: str) -> None:
    store = online(kind)
    store.clear()
    key = EntityKey(join_keys=["hour", "origin"], entity_values=[Value(int64_val=5), Value(string_val="EWR")])

    def write(*rows: tuple[float, datetime, datetime | None]) -> float:
        data = [(key, {"delay": Value(double_val=delay)}, event, known) for delay, event, known in rows]
        online_store(store.feast).online_write_batch(store.feast.config, VIEW, data, None)
        return store.state()["EWR"][1] if kind == "redis" else _delay(store, key)

    before_1970 = datetime(1960, 5, 4, 3, 2, 1, 7, tzinfo=UTC)
    assert write((1.0, before_1970, None)) == 1.0
    assert write((2.0, before_1970 - timedelta(microseconds=1), START)) == 1.0
    assert write((3.0, before_1970, START), (4.0, before_1970, None)) == 3.0
    assert write((5.0, START, None)) == 5.0
    assert write((6.0, START, None)) == 6.0
    assert write((7.0, START, START), (8.0, START - DAY, START)) == 7.0
    assert write((9.0, START, START - DAY)) == 7.0
    assert write((10.0, START.replace(tzinfo=None), START + DAY)) == 10.0


def _delay(store: Online, key: EntityKey) -> float:
    ((_, values),) = online_store(store.feast).online_read(store.feast.config, VIEW, [key], ["delay"])
    return values["delay"].double_val


def test_what_stock_redis_wrote_is_understood(online) -> None:
    """A store that was Feast's own before: its values have no note of when they were known."""
    stock, store = online("stock redis"), online("redis")
    stock.end([Partition(1, 0)])
    store.materialize(Partition(0, 0))
    assert store.state()["EWR"][1] == 10.0
    store.materialize(Partition(1, 1))
    assert store.state()["EWR"][1] == stock.state()["EWR"][1] == 11.0


def test_two_versions_of_redis_mean_the_same(online) -> None:
    """Feast's own reader understands what the guarded store wrote, to the bit."""
    expected = online("redis").end(CORRECTED)
    assert online("stock redis").state() == expected
