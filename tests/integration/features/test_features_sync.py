"""Real flights online: their state, the registry in words, skew of served values, and all of it in Redis as well."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mlforge import db
from mlforge.cli.features import features_app
from mlforge.features import (
    apply_features,
    build_features,
    close_store,
    materialize_features,
    open_store,
    read_online,
    sync_online,
)
from mlforge.features.on_demand import OnDemand
from mlforge.features.plan import make_plan
from mlforge.features.reader import OnlineReader, RowFeatures
from mlforge.features.registry import describe_view, describe_views
from mlforge.features.skew import SkewReport, check_skew
from mlforge.features.status import ViewStatus, feature_status
from mlforge.refs import FeaturePartition, PartitionRange
from mlforge.settings import get_settings
from mlforge.spec import UseCase
from mlforge.spec.module import load_model_module
from redis_server import RedisServer

pytestmark = pytest.mark.integration

DAYS = PartitionRange.parse("2013-01-02..2013-01-04")
NEXT = PartitionRange.parse("2013-01-05")
MOMENT = DAYS.end + timedelta(hours=1)


@pytest.fixture(scope="module")
def built(fill: Callable[[PartitionRange], None], use_case: UseCase) -> FeaturePartition:
    fill(PartitionRange(DAYS.first, NEXT.last))
    built = build_features(use_case, DAYS)
    materialize_features(use_case, built)
    return built


@pytest.fixture
def redis(built: FeaturePartition, use_case: UseCase, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="mlforge-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        monkeypatch.setenv("MLFORGE_ONLINE_STORE_URL", server.url)
        get_settings.cache_clear()
        close_store()
        apply_features(use_case)
        yield server
        close_store()
        monkeypatch.undo()
        get_settings.cache_clear()
        server.stop()


@pytest.fixture(autouse=True)
def _no_receipts(built: FeaturePartition) -> None:
    with db.connect() as connection:
        connection.execute("DELETE FROM ledger.predictions")


def _requests(use_case: UseCase, moment: datetime = MOMENT, size: int = 40) -> list[dict[str, Any]]:
    fields = ["carrier", "flight", "tailnum", "origin", "dest"]
    with db.connect() as connection:
        rows = connection.execute(
            f"SELECT {', '.join(fields)} FROM warehouse.flight_delays__flights WHERE event_timestamp < %s "
            "ORDER BY event_timestamp DESC, carrier, flight LIMIT %s",
            [DAYS.end, size],
        ).fetchall()
    columns: dict[str, list[Any]] = {
        name: list(values) for name, values in zip(fields, zip(*rows, strict=True), strict=True)
    }
    columns["scheduled_departure"] = [moment] * len(rows)
    columns |= load_model_module(use_case).derive(columns)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _read(use_case: UseCase, rows: list[dict[str, Any]]) -> list[RowFeatures]:
    async def read() -> list[RowFeatures]:
        reader = OnlineReader(
            make_plan(open_store(), use_case.feature_service), use_case.prediction.moment, on_demand=OnDemand(use_case)
        )
        try:
            return await asyncio.gather(*(reader.read(row) for row in rows))
        finally:
            await reader.close()

    return asyncio.run(read())


def _serve(use_case: UseCase, moment: datetime = MOMENT, at: datetime | None = None) -> int:
    """Answer requests with what is online, and write what the receipts would hold."""
    rows = _requests(use_case, moment)
    with db.connect() as connection:
        for row, (values, times, flags) in zip(rows, _read(use_case, rows), strict=True):
            request = {name: row[name] for name in use_case.prediction.request}
            derived = {name: row[name] for name in use_case.prediction.derived}
            connection.execute(
                "INSERT INTO ledger.predictions (receipt_id, use_case, release_id, model_version, moment, request, "
                "features, feature_times, flags, score, label, latency_ms, predicted_at) VALUES (gen_random_uuid(), "
                "'flight_delays', 1, 1, %s, %s, %s, %s, %s, 0.5, 'late', 1, coalesce(%s, clock_timestamp()))",
                [
                    moment,
                    json.dumps(request, default=str),
                    json.dumps({**derived, **values}),
                    json.dumps(times, default=str),
                    list(flags),
                    at,
                ],
            )
    return len(rows)


def _sql(statement: str, *values: object) -> None:
    with db.connect() as connection:
        connection.execute(statement.encode(), values)


class TestStatus:
    def _status(self, use_case: UseCase, at: datetime = MOMENT) -> dict[str, ViewStatus]:
        return {view.view: view for view in feature_status(use_case, at).views}

    def test_it_says_how_old_each_view_is(self, use_case: UseCase) -> None:
        views = self._status(use_case)
        assert list(views) == list(use_case.features)
        carriers = views["carrier_delays"]
        assert (carriers.newest, carriers.age, carriers.partition) == (DAYS.end, timedelta(hours=1), DAYS.last_key)
        assert (carriers.rows, carriers.stale_share) == (carriers.entities * 6, 0.0)
        assert carriers.entities > 10
        assert (carriers.pending, carriers.outdated, carriers.version, carriers.current) == ((), (), 0, True)
        assert views["planes"].age is None
        assert views["planes"].entities > 3000
        late = self._status(use_case, DAYS.end + timedelta(hours=3, seconds=1))
        assert late["weather"].stale_share == 1.0
        assert feature_status(use_case, MOMENT).too_old(timedelta(hours=1)) == []
        too_old = feature_status(use_case, MOMENT).too_old(timedelta(minutes=59))
        assert {view.view for view in too_old} == set(use_case.features) - {"planes"}

    def test_what_is_built_and_not_online_is_named(self, use_case: UseCase) -> None:
        built = build_features(use_case, NEXT)
        assert self._status(use_case, NEXT.end)["route_delays"].pending == (NEXT.key,)
        assert self._status(use_case, NEXT.end + timedelta(days=8))["route_delays"].pending == ()
        materialize_features(use_case, built)
        assert self._status(use_case, NEXT.end)["route_delays"].pending == ()

    def test_the_command_exits_with_1_when_a_view_is_too_old(self, use_case: UseCase) -> None:
        command = ["status", "flight_delays", "--at", f"{NEXT.end:%Y-%m-%dT%H:%M:%S}"]
        fine = CliRunner().invoke(features_app, [*command, "--max-age", "2d", "--json"])
        assert fine.exit_code == 0, fine.output
        assert {view["view"] for view in json.loads(fine.stdout)["views"]} == set(use_case.features)
        late = CliRunner().invoke(features_app, [*command[:2], "--max-age", "36h"])
        assert late.exit_code == 1, late.output


class TestRegistry:
    def test_a_view_is_described(self, use_case: UseCase) -> None:
        view = describe_view(use_case, "origin_hour_delays")
        assert [(key.name, key.type) for key in view.keys] == [("origin", "string"), ("sched_hour", "int64")]
        assert view.keys[0].description == "Airport of departure"
        assert [feature.name for feature in view.features][:2] == ["late_share_7d", "late_share_28d"]
        assert view.services == ("flight_delays",)
        assert [version.number for version in view.versions] == [0]
        assert view.offline_rows
        assert view.releases == ()
        assert [each.name for each in describe_views(use_case)] == [*use_case.features, "flight_context"]
        computed = describe_view(use_case, "flight_context")
        assert (computed.kind, computed.services, computed.source) == ("on demand", ("flight_delays",), "on_demand.py")

    def test_the_commands_show_it(self, use_case: UseCase) -> None:
        shown = CliRunner().invoke(features_app, ["show", "weather"])
        assert shown.exit_code == 0, shown.output
        assert "wind_speed" in shown.output
        listed = CliRunner().invoke(features_app, ["list", "flight_delays", "--json"])
        assert {view["name"] for view in json.loads(listed.stdout)} == {*use_case.features, "flight_context"}


class TestSkew:
    def _check(self, use_case: UseCase) -> SkewReport:
        return check_skew(use_case, PartitionRange(DAYS.first, PartitionRange.parse("2013-01-20").last))

    def test_what_was_served_is_what_training_sees(self, use_case: UseCase) -> None:
        served = _serve(use_case) + _serve(use_case, DAYS.end + timedelta(days=7, hours=1))
        report = self._check(use_case)
        assert (report.receipts, report.skewed, report.lag, report.corrected) == (served, {}, {}, {})
        assert report.values > served * 30

    def test_a_wrong_online_value_is_found(self, use_case: UseCase) -> None:
        _sql(
            "CREATE TABLE before AS SELECT * FROM online.mlforge_carrier_delays; UPDATE online.mlforge_carrier_delays "
            "SET value = (SELECT value FROM online.mlforge_carrier_delays WHERE feature_name = 'flights_28d' "
            "ORDER BY entity_key LIMIT 1) WHERE feature_name = 'late_share_28d'"
        )
        try:
            served = _serve(use_case)
        finally:
            _sql(
                "UPDATE online.mlforge_carrier_delays AS o SET value = b.value FROM before AS b "
                "WHERE b.entity_key = o.entity_key AND b.feature_name = o.feature_name; DROP TABLE before"
            )
        report = self._check(use_case)
        assert report.skewed == {"carrier_delays__late_share_28d": served}
        example = report.examples["carrier_delays__late_share_28d"][0]
        assert example.served > 1 >= example.expected
        shown = CliRunner().invoke(features_app, ["skew", "flight_delays", "--partition", "2013-01-05"])
        assert shown.exit_code == 1, shown.output
        assert "late_share_28d" in shown.output.replace("\n", "")
        with db.connect() as connection:
            found = connection.execute("SELECT skewed FROM ledger.skew_checks ORDER BY skew_check_id").fetchall()
        assert found[-1] == (served,)

    def test_what_was_not_online_yet_is_lag(self, use_case: UseCase) -> None:
        day = PartitionRange.parse("2013-01-05")
        built = build_features(use_case, day)
        _sql("DELETE FROM ledger.materializations WHERE partition_key = %s", day.key)
        for view in ("carrier_delays", "route_delays", "origin_hour_delays", "tail_delays", "weather"):
            _sql(f"DELETE FROM online.mlforge_{view} WHERE event_ts > %s", DAYS.end)
            _sql(f"DELETE FROM ledger.materializations WHERE view = '{view}'")
        materialize_features(use_case, FeaturePartition(**{**built.dump(), "partition_key": DAYS.key}))
        served = _serve(use_case, day.end + timedelta(hours=1))
        report = self._check(use_case)
        assert report.ok, report.examples
        assert report.lag["carrier_delays"] == served
        assert "planes" not in report.lag

    def test_a_correction_since_is_told_apart(self, use_case: UseCase) -> None:
        materialize_features(use_case, build_features(use_case, DAYS))
        served = _serve(use_case, DAYS.end - timedelta(hours=23))
        _sql(
            "UPDATE features.flight_delays__route_delays SET distance = distance + 1 WHERE partition_key = %s",
            DAYS.last_key,
        )
        assert self._check(use_case).skewed == {"route_delays__distance": served}
        _sql(
            "INSERT INTO ledger.feature_publications (use_case, view, partition_key, rows, content_hash, inputs, "
            "code_version) VALUES ('flight_delays', 'route_delays', %s, 1, 'corrected', 'i', 'c')",
            DAYS.last_key,
        )
        report = self._check(use_case)
        assert (report.skewed, report.corrected["route_delays"]) == ({}, served)
        assert report.ahead["carrier_delays"] == served


class TestRedis:
    def test_it_holds_and_gives_what_postgresql_does(self, use_case: UseCase, redis: RedisServer) -> None:
        rows = _requests(use_case)
        rows[0]["tailnum"] = None
        rows[1]["tailnum"] = "N0NE"
        assert all("missing:weather" in flags for _, _, flags in _read(use_case, rows))
        written = sync_online(use_case)
        assert all(written.values())
        in_redis = _read(use_case, rows)
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        online = read_online(open_store(), use_case, columns)
        assert in_redis == [
            ({name: column[place] for name, column in online.columns.items()}, times, flags)
            for place, (times, flags) in enumerate(zip(online.feature_times, online.flags, strict=True))
        ]
        views = {view.view: view for view in feature_status(use_case, MOMENT).views}
        with db.connect() as connection:
            newest = connection.execute("SELECT max(event_timestamp) FROM features.flight_delays__carrier_delays")
            assert (views["carrier_delays"].newest, views["carrier_delays"].pending) == (newest.fetchone()[0], ())
        assert views["planes"].entities > 3000
        redis.drop_connections()
        assert _read(use_case, rows) == in_redis

    def test_a_redis_that_is_gone_is_said(self, use_case: UseCase, redis: RedisServer) -> None:
        from mlforge.errors import ServiceUnavailableError

        rows = _requests(use_case, size=1)
        _read(use_case, rows)
        redis.stop()
        with pytest.raises(ServiceUnavailableError, match="does not answer"):
            _read(use_case, rows)
