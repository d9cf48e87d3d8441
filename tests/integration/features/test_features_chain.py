"""Build → materialize → assemble on real flights, each against a plain computation of the same thing."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlforge import db, storage
from mlforge.errors import FeatureError, ServiceUnavailableError
from mlforge.features import (
    apply_features,
    assemble_partition,
    assemble_training_set,
    build_features,
    materialize_features,
    open_store,
    read_online,
)
from mlforge.features.on_demand import OnDemand
from mlforge.features.plan import OnlinePlan, make_plan, read_plan, write_plan
from mlforge.features.reader import OnlineReader, RowFeatures
from mlforge.features.sources import PostgresRows
from mlforge.refs import FeaturePartition, PartitionRange, TrainingSet
from mlforge.spec import UseCase
from mlforge.spec.module import load_model_module

pytestmark = pytest.mark.integration

DAYS = PartitionRange.parse("2013-01-01..2013-01-10")
KEYS = {
    "carrier_delays": ["carrier"],
    "route_delays": ["origin", "dest"],
    "origin_hour_delays": ["origin", "sched_hour"],
    "tail_delays": ["tailnum"],
    "weather": ["origin"],
    "planes": ["tailnum"],
}
TTL = {"weather": timedelta(hours=3), "planes": timedelta(days=10_000)}


@pytest.fixture(scope="module")
def built(fill: Callable[[PartitionRange], None], use_case: UseCase) -> FeaturePartition:
    fill(DAYS)
    return build_features(use_case, DAYS)


@pytest.fixture(scope="module")
def training_set(built: FeaturePartition, use_case: UseCase) -> TrainingSet:
    return assemble_training_set(use_case, DAYS)


def _table(training_set: TrainingSet) -> pa.Table:
    content = storage.read_bytes(training_set.uri, content_hash=training_set.content_hash)
    return pq.read_table(io.BytesIO(content))


def _feature_rows(view: str) -> pd.DataFrame:
    with db.connect() as connection:
        cursor = connection.execute(f"SELECT * FROM features.flight_delays__{view}")
        rows = pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description or []])
    return rows.astype({"event_timestamp": "datetime64[us, UTC]", "known_at": "datetime64[us, UTC]"})


@pytest.mark.parametrize("view", list(KEYS))
def test_every_cell_is_what_a_plain_search_finds(training_set: TrainingSet, view: str) -> None:
    """The newest row per key, at most a time to live old and known at the moment, by pandas' own as-of merge."""
    table = _table(training_set).to_pandas()
    features = [name for name in table if name.startswith(f"{view}__")]
    keys = KEYS[view]
    rows = _feature_rows(view)
    rows = rows[rows["known_at"] <= rows["event_timestamp"]].sort_values("event_timestamp")
    left = table[["event_timestamp", *keys]].dropna(subset=keys)
    left = left.astype({"event_timestamp": "datetime64[us, UTC]"}).reset_index().sort_values("event_timestamp")
    found = pd.merge_asof(
        left,
        rows.drop(columns=["known_at", "partition_key"]),
        on="event_timestamp",
        by=keys,
        tolerance=TTL.get(view, timedelta(days=7)),
    ).set_index("index")
    expected = found[[name.removeprefix(f"{view}__") for name in features]].set_axis(features, axis=1)
    actual = table.loc[expected.index.sort_values(), features]
    pd.testing.assert_frame_equal(actual, expected.sort_index(), check_dtype=False, check_names=False)
    assert actual.notna().any(axis=None)


def test_the_schema_is_request_derived_times_features_outcome(training_set: TrainingSet, use_case: UseCase) -> None:
    table = _table(training_set)
    names = table.column_names
    start = [*use_case.prediction.request, *use_case.prediction.derived, "event_timestamp", "known_at"]
    assert names[: len(start)] == start
    assert names[-1] == "arr_delay"
    assert all(name.split("__")[0] in {*KEYS, "flight_context"} for name in names[len(start) : -1])
    assert table.num_rows == training_set.rows
    assert table.column("event_timestamp").type == pa.timestamp("us", tz="UTC")
    moments = table.column("event_timestamp").to_pylist()
    assert moments == sorted(moments)


def test_only_what_was_known_then_is_in_it(training_set: TrainingSet) -> None:
    table = _table(training_set)
    assert max(table.column("known_at").to_pylist()) <= DAYS.end == training_set.as_of
    with db.connect() as connection:
        later = connection.execute(
            "SELECT count(*) FROM warehouse.flight_delays__flights WHERE event_timestamp < %s AND known_at > %s",
            [DAYS.end, DAYS.end],
        ).fetchone()
    assert later is not None
    assert later[0] > 0


def test_again_gives_the_same_bytes_and_no_new_ledger_row(training_set: TrainingSet, use_case: UseCase) -> None:
    assert assemble_training_set(use_case, DAYS) == training_set
    with db.connect() as connection:
        rows = connection.execute("SELECT count(*), min(content_hash) FROM ledger.training_sets").fetchone()
    assert rows == (1, training_set.content_hash)


def test_a_partition_has_its_own_days_examples(built: FeaturePartition, use_case: UseCase) -> None:
    day = PartitionRange.parse("2013-01-05")
    moments = _table(assemble_partition(use_case, day)).column("event_timestamp").to_pylist()
    assert day.start <= min(moments) <= max(moments) < day.end


def test_days_without_examples_are_an_error(built: FeaturePartition, use_case: UseCase) -> None:
    with pytest.raises(FeatureError, match="there are no examples"):
        assemble_partition(use_case, PartitionRange.parse("2013-06-01"))


def test_a_planted_row_that_was_known_too_late_changes_nothing(training_set: TrainingSet, use_case: UseCase) -> None:
    columns = _table(training_set).column_names
    moment = datetime(2013, 1, 8, 12, tzinfo=UTC)
    with db.connect() as connection:
        connection.execute(
            "INSERT INTO features.flight_delays__carrier_delays (carrier, event_timestamp, known_at, late_share_7d, "
            "partition_key) SELECT DISTINCT carrier, %s::timestamptz, %s::timestamptz, 1e9, 'planted' "
            "FROM features.flight_delays__carrier_delays",
            [moment, DAYS.end + timedelta(days=1)],
        )
    try:
        again = assemble_training_set(use_case, DAYS)
    finally:
        with db.connect() as connection:
            connection.execute("DELETE FROM features.flight_delays__carrier_delays WHERE partition_key = 'planted'")
    assert again.content_hash == training_set.content_hash
    assert columns


class TestOnline:
    def _request(self, use_case: UseCase, table: pa.Table, size: int, moment: datetime) -> dict[str, list[object]]:
        rows = table.slice(table.num_rows - size, size)
        request: dict[str, list[object]] = {name: rows.column(name).to_pylist() for name in use_case.prediction.request}
        request["scheduled_departure"] = [moment] * size
        return {**request, **load_model_module(use_case).derive(request)}

    def test_it_is_the_offline_row_of_the_same_moment(
        self, training_set: TrainingSet, built: FeaturePartition, use_case: UseCase
    ) -> None:
        done = materialize_features(use_case, built)
        assert done.materialized > 0
        moment = DAYS.end + timedelta(hours=1)
        request = self._request(use_case, _table(training_set), 50, moment)
        online = read_online(open_store(), use_case, request)
        store = open_store()
        offline = store.get_historical_features(
            entity_df=pd.DataFrame({**request, "event_timestamp": request["scheduled_departure"]}),
            features=store.get_feature_service(use_case.feature_service),
            full_feature_names=True,
        ).to_arrow()
        assert {name: offline.column(name).to_pylist() for name in online.columns} == online.columns
        assert len(online.columns) == len([name for name in _table(training_set).column_names if "__" in name])
        for times in online.feature_times:
            assert times["carrier_delays"] == DAYS.end

    def test_row_by_row_it_is_what_feast_reads(
        self, training_set: TrainingSet, built: FeaturePartition, use_case: UseCase, tmp_path: Path
    ) -> None:
        materialize_features(use_case, built)
        write_plan(tmp_path, use_case.feature_service)
        plan = read_plan(tmp_path, use_case.feature_service)
        assert plan == make_plan(open_store(), use_case.feature_service)
        for moment in (DAYS.end - timedelta(hours=1), DAYS.end, DAYS.end + timedelta(days=7, seconds=1)):
            request = self._request(use_case, _table(training_set), 40, moment)
            request["tailnum"][:2] = [None, "N0NE"]
            rows = [dict(zip(request, values, strict=True)) for values in zip(*request.values(), strict=True)]
            online = read_online(open_store(), use_case, request)
            expected = [
                ({name: column[place] for name, column in online.columns.items()}, times, flags)
                for place, (times, flags) in enumerate(zip(online.feature_times, online.flags, strict=True))
            ]
            assert asyncio.run(_read_rows(plan, rows, OnDemand(use_case))) == expected

    def test_row_by_row_it_heals_and_says_what_is_wrong(self, built: FeaturePartition, use_case: UseCase) -> None:
        plan = make_plan(open_store(), use_case.feature_service)
        asyncio.run(_read_through_trouble(plan))

    def test_what_is_absent_or_old_is_flagged_and_none(
        self, training_set: TrainingSet, built: FeaturePartition, use_case: UseCase
    ) -> None:
        materialize_features(use_case, built)
        request = self._request(use_case, _table(training_set), 2, DAYS.end + timedelta(hours=3, seconds=1))
        request["tailnum"] = [None, "N0NE"]
        online = read_online(open_store(), use_case, request)
        assert online.flags == [["missing:planes", "missing:tail_delays", "stale:weather"]] * 2
        assert online.columns["weather__temp"] == [None, None]
        assert online.columns["planes__seats"] == [None, None]
        assert online.columns["carrier_delays__flights_28d"][0] > 0
        late = self._request(use_case, _table(training_set), 1, DAYS.end + timedelta(days=7, seconds=1))
        assert "stale:carrier_delays" in read_online(open_store(), use_case, late).flags[0]

    def test_a_question_about_the_past_is_flagged(
        self, training_set: TrainingSet, built: FeaturePartition, use_case: UseCase
    ) -> None:
        materialize_features(use_case, built)
        request = self._request(use_case, _table(training_set), 1, DAYS.end - timedelta(hours=1))
        online = read_online(open_store(), use_case, request)
        assert "ahead:carrier_delays" in online.flags[0]
        assert online.columns["carrier_delays__flights_28d"][0] > 0

    def test_a_missing_key_column_is_named(self, built: FeaturePartition, use_case: UseCase) -> None:
        with pytest.raises(FeatureError, match="tailnum"):
            read_online(
                open_store(),
                use_case,
                {"carrier": ["UA"], "origin": ["EWR"], "dest": ["IAH"], "sched_hour": [1], "scheduled_departure": [0]},
            )

    def test_any_order_of_partitions_ends_in_the_same_state(self, built: FeaturePartition, use_case: UseCase) -> None:
        parts = [build_features(use_case, PartitionRange.parse(key)) for key in ("2013-01-08", "2013-01-09")]
        ends = set()
        for order in permutations(parts):
            with db.connect() as connection:
                for view in use_case.features:
                    connection.execute(f"TRUNCATE online.mlforge_{view}")
            for part in order:
                materialize_features(use_case, part)
            with db.connect() as connection:
                state = connection.execute(
                    "SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM online.mlforge_route_delays AS t"
                ).fetchone()
            ends.add(state)
        assert len(ends) == 1
        with db.connect() as connection:
            kept = connection.execute(
                "SELECT rows_kept FROM ledger.materializations WHERE view = 'carrier_delays' "
                "AND partition_key = '2013-01-08' ORDER BY materialization_id DESC LIMIT 1"
            ).fetchone()
        assert kept is not None
        assert kept[0] > 0


def test_applying_again_changes_nothing(built: FeaturePartition, use_case: UseCase) -> None:
    first = apply_features(use_case)
    assert apply_features(use_case) == first == sorted(use_case.features)


async def _read_rows(plan: OnlinePlan, rows: list[dict[str, object]], on_demand: OnDemand) -> list[RowFeatures]:
    reader = OnlineReader(plan, "scheduled_departure", on_demand=on_demand)
    try:
        return await asyncio.gather(*(reader.read(row) for row in rows))
    finally:
        await reader.close()


async def _read_through_trouble(plan: OnlinePlan) -> None:
    row = {
        "carrier": "UA",
        "origin": "EWR",
        "dest": "IAH",
        "tailnum": "N14228",
        "sched_hour": 5,
        "scheduled_departure": DAYS.end,
    }
    reader = OnlineReader(plan, "scheduled_departure")
    before = await reader.read(row)
    assert isinstance(reader.source, PostgresRows)
    assert reader.source.connection is not None
    with db.connect() as connection:
        connection.execute("SELECT pg_terminate_backend(%(pid)s)", {"pid": reader.source.connection.info.backend_pid})
    assert await reader.read(row) == before
    with pytest.raises(FeatureError, match="lacks a key"):
        await reader.read({"carrier": "UA", "scheduled_departure": DAYS.end})
    with pytest.raises(FeatureError, match="another type"):
        await reader.read({**row, "sched_hour": "five"})
    assert await reader.read(row) == before
    await reader.close()
    lost = OnlineReader(plan, "scheduled_departure", url="postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(ServiceUnavailableError, match="does not answer"):
        await lost.read(row)
    views = [view.model_copy(update={"table": "no_such_table"}) for view in plan.views]
    wrong = OnlineReader(plan.model_copy(update={"views": views}), "scheduled_departure")
    with pytest.raises(FeatureError, match="cannot be read"):
        await wrong.read(row)
    await wrong.close()
