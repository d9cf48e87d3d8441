"""Features side by side: the point-in-time join, materialization, and reads of single requests.

Spine: every flight of 2013. Views: daily snapshots of carriers, routes, airports' hours and aircraft, made by one
statement each, so that the benchmark measures the joining and not the computing. Rows per second are entities.
"""

# ruff: noqa: S608  (names of tables and columns are those declared here)
from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import UTC, datetime, timedelta
from typing import Any

from database import database
from figures import Figure, show

READS = 1_000
SAMPLE = 500
DAYS = 365
VIEWS = {
    "b_carrier": ["carrier"],
    "b_route": ["origin", "dest"],
    "b_hour": ["origin", "sched_hour"],
    "b_tail": ["tailnum"],
}
FEATURES = [f"f{number}" for number in range(5)]
KEY_TYPES = {"sched_hour": "bigint"}
TTL = timedelta(days=7)
START = datetime(2013, 1, 1, tzinfo=UTC)


def load() -> Any:
    """Store the flights as a spine and a snapshot per entity and day; return the spine as Arrow."""
    import pandas as pd
    import pyarrow as pa
    from adbc_driver_postgresql import dbapi

    from mlforge import db
    from mlforge.ingest.source import source_uri
    from mlforge.settings import get_settings
    from mlforge.spec import load_use_case

    source = load_use_case("flight_delays").dataset("flights").source
    flights = pd.read_csv(source_uri(source), parse_dates=["time_hour"])
    flights = flights[flights["tailnum"].notna()]
    spine = pd.DataFrame(
        {
            **{name: flights[name] for name in ("carrier", "origin", "dest", "tailnum")},
            "sched_hour": flights["hour"].astype("int64"),
            "event_timestamp": flights["time_hour"] + pd.to_timedelta(flights["minute"], unit="min"),
        }
    )
    table = pa.Table.from_pandas(spine, preserve_index=False).replace_schema_metadata(None)
    moment = table.schema.get_field_index("event_timestamp")
    exact = table.column(moment).cast(pa.timestamp("us", tz="UTC"))
    table = table.set_column(moment, "event_timestamp", exact)
    with dbapi.connect(get_settings().postgres_url()) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("bench_spine", table, mode="create")
        connection.commit()
    with db.connect() as connection:
        for view, keys in VIEWS.items():
            columns = ", ".join(keys)
            values = ", ".join(f"random() AS {name}" for name in FEATURES)
            connection.execute(
                f"CREATE TABLE features.{view} AS SELECT {columns}, day AS event_timestamp, day AS known_at, {values} "
                f"FROM (SELECT DISTINCT {columns} FROM bench_spine) AS e, generate_series('2013-01-01Z'::timestamptz, "
                "'2013-12-31Z', interval '1 day') AS day".encode()
            )
            connection.execute(f"ALTER TABLE features.{view} ADD PRIMARY KEY ({columns}, event_timestamp)".encode())
    with db.connect(autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return table


def declare() -> list[Any]:
    from feast import Entity, FeatureService, FeatureView, Field, ValueType
    from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
    from feast.types import Float64, Int64, String

    names = sorted({key for keys in VIEWS.values() for key in keys})
    entities = {
        name: Entity(
            name=name,
            join_keys=[name],
            value_type=ValueType.INT64 if name in KEY_TYPES else ValueType.STRING,
        )
        for name in names
    }
    views = [
        FeatureView(
            name=view,
            entities=[entities[key] for key in keys],
            ttl=TTL,
            schema=[
                *(Field(name=key, dtype=Int64 if key in KEY_TYPES else String) for key in keys),
                *(Field(name=name, dtype=Float64) for name in FEATURES),
            ],
            source=PostgreSQLSource(
                name=view,
                table=f"features.{view}",
                timestamp_field="event_timestamp",
                created_timestamp_column="known_at",
            ),
        )
        for view, keys in VIEWS.items()
    ]
    return [*entities.values(), *views, FeatureService(name="bench", features=views)]


def seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    with redirect_stdout(io.StringIO()):
        work()
    return time.perf_counter() - begun


def hand_written() -> Any:
    """Join as one would by hand: the spine is in the database, one LATERAL per view, read as Arrow."""
    from adbc_driver_postgresql import dbapi

    from mlforge.settings import get_settings

    joins = " ".join(
        f"LEFT JOIN LATERAL (SELECT {', '.join(FEATURES)} FROM features.{view} AS s WHERE "
        + " AND ".join(f"s.{key} = e.{key}" for key in keys)
        + " AND s.event_timestamp <= e.event_timestamp AND s.known_at <= e.event_timestamp "
        "AND s.event_timestamp >= e.event_timestamp - interval '7 days' "
        f"ORDER BY s.event_timestamp DESC, s.known_at DESC LIMIT 1) AS v{place} ON true"
        for place, (view, keys) in enumerate(VIEWS.items())
    )
    features = ", ".join(f"v{place}.{name} AS v{place}_{name}" for place in range(len(VIEWS)) for name in FEATURES)
    with dbapi.connect(get_settings().postgres_url()) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT e.*, {features} FROM bench_spine AS e {joins}")
        return cursor.fetch_arrow_table()


def asof(spine: Any, tables: dict[str, Any]) -> None:
    """Join by DuckDB, all in memory; reading the tables out of PostgreSQL is not counted."""
    import duckdb

    with duckdb.connect() as connection:
        connection.register("spine", spine)
        for view, table in tables.items():
            connection.register(view, table)
        joins = " ".join(
            f"ASOF LEFT JOIN {view} ON "
            + " AND ".join(f"spine.{key} = {view}.{key}" for key in keys)
            + f" AND spine.event_timestamp >= {view}.event_timestamp"
            for view, keys in VIEWS.items()
        )
        features = ", ".join(f"{view}.{name} AS {view}_{name}" for view in VIEWS for name in FEATURES)
        connection.sql(f"SELECT spine.*, {features} FROM spine {joins}").to_arrow_table()


def joins(spine: Any) -> Figure:
    from adbc_driver_postgresql import dbapi

    from mlforge.features import open_store
    from mlforge.settings import get_settings

    store = open_store()
    service = store.get_feature_service("bench")
    frame = spine.to_pandas()
    tables = {}
    with dbapi.connect(get_settings().postgres_url()) as connection, connection.cursor() as cursor:
        for view in VIEWS:
            cursor.execute(f"SELECT * FROM features.{view}")
            tables[view] = cursor.fetch_arrow_table()
    by_hand, duck, ours = [], [], []
    for _ in range(2):
        by_hand.append(seconds(hand_written))
        ours.append(seconds(lambda: store.get_historical_features(frame, service, full_feature_names=True).to_arrow()))
        duck.append(seconds(lambda: asof(spine, tables)))
    beside = f"hand-written {min(by_hand):.1f} s, ratio {min(ours) / min(by_hand):.2f}; DuckDB ASOF {min(duck):.1f} s"
    return Figure(f"training set, {spine.num_rows:,} rows × 4 views", min(ours), "s", "≤ 1.5 × hand-written", beside)


def stock_join(spine: Any) -> Figure:
    """Join a sample by our offline store and by Feast's own, which compares every entity with every row."""
    from feast import FeatureStore, RepoConfig

    from mlforge.features.store import store_config

    config = store_config()
    own = {**config["offline_store"], "type": "postgres"}
    step = max(1, spine.num_rows // SAMPLE)
    frame = spine.to_pandas().iloc[::step][:SAMPLE]
    times = {}
    for name, offline in (("ours", config["offline_store"]), ("stock", own)):
        store = FeatureStore(config=RepoConfig(**{**config, "offline_store": offline}))
        service = store.get_feature_service("bench")
        times[name] = seconds(
            lambda s=store, v=service: s.get_historical_features(frame, v, full_feature_names=True).to_arrow()
        )
    beside = f"stock Feast {times['stock']:.1f} s, ratio {times['stock'] / times['ours']:.0f}"
    return Figure(f"training set, {SAMPLE:,} rows of them × 4 views", times["ours"], "s", "", beside)


def materializations() -> Figure:
    """Bring a day of aircraft online, by our store and engine and by Feast's, in turns."""
    from feast import FeatureStore, RepoConfig

    from mlforge import db
    from mlforge.features.store import store_config

    config = store_config()
    stock = {**config, "batch_engine": {"type": "local"}}
    stock["online_store"] = {**config["online_store"], "type": "postgres"}
    stores = {
        "ours": FeatureStore(config=RepoConfig(**config)),
        "stock": FeatureStore(config=RepoConfig(**stock)),
    }
    with db.connect() as connection:
        found = connection.execute("SELECT count(DISTINCT tailnum) FROM features.b_tail").fetchone()
    rates: dict[str, list[float]] = {name: [] for name in stores}
    for day in range(1, 5):
        for name, store in stores.items():
            moment = START + timedelta(days=2 * day + (name == "stock"))
            view = store.get_feature_view("b_tail")
            provider = store._get_provider()
            arguments = (store.config, view, moment, moment, store.registry, store.project, lambda length: None)
            rates[name].append(
                found[0] / seconds(lambda p=provider, a=arguments: p.materialize_single_feature_view(*a))
            )
    ours, theirs = max(rates["ours"]), max(rates["stock"])
    beside = f"stock Feast {theirs:,.0f} rows/s, ratio {ours / theirs:.1f}"
    return Figure("materialization, 5 features", ours, "rows/s", "≥ 2 × stock Feast", beside)


async def reads() -> list[Figure]:
    """Read 20 features of four views, for one request at a time and for ten that come together."""
    from mlforge import db
    from mlforge.features import open_store
    from mlforge.features.plan import make_plan
    from mlforge.features.reader import OnlineReader

    store = open_store()
    for view in VIEWS:
        provider = store._get_provider()
        moment = START + timedelta(days=DAYS - 1)
        registered = store.get_feature_view(view)
        provider.materialize_single_feature_view(
            store.config, registered, moment, moment, store.registry, store.project, None
        )
    names = ["carrier", "origin", "dest", "tailnum", "sched_hour"]
    with db.connect() as connection:
        found = connection.execute("SELECT carrier, origin, dest, tailnum, sched_hour FROM bench_spine LIMIT 10000")
        rows = [{**dict(zip(names, row, strict=True)), "moment": moment} for row in found.fetchall()]
    reader = OnlineReader(make_plan(store, "bench"), "moment")
    await asyncio.gather(*(reader.read(row) for row in rows[:50]))
    figures = []
    for size, goal in ((1, "p99 ≤ 3 ms"), (10, "p99 ≤ 10 ms")):
        times = []
        for number in range(READS):
            batch = [rows[(number * size + place) % len(rows)] for place in range(size)]
            begun = time.perf_counter()
            await asyncio.gather(*(reader.read(row) for row in batch))
            times.append((time.perf_counter() - begun) * 1000)
        times.sort()
        what = f"online read, 20 features, {size} {'entity' if size == 1 else 'entities'}"
        figures.append(Figure(what, times[len(times) // 2], "ms", goal, f"p99 {times[int(len(times) * 0.99)]:.2f} ms"))
    await reader.close()
    return figures


def measure() -> list[Figure]:
    with database():
        from mlforge.features import close_store, open_store

        spine = load()
        open_store().apply(declare())
        open_store().refresh_registry()
        figures = [joins(spine), stock_join(spine), materializations(), *asyncio.run(reads())]
        close_store()
        return figures


if __name__ == "__main__":
    show(measure())
