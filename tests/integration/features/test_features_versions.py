"""A view that changes while a release serves: the old plan goes on reading the old version, the new one the new."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from flight_warehouse import fill_warehouse
from mlforge import db
from mlforge.features import (
    apply_features,
    build_features,
    close_store,
    materialize_features,
    open_store,
    read_online,
    sync_online,
)
from mlforge.features.plan import OnlinePlan, read_plan, write_plan
from mlforge.features.reader import OnlineReader, RowFeatures
from mlforge.refs import PartitionRange
from mlforge.settings import Settings, get_settings
from mlforge.spec import UseCase
from mlforge.spec.loading import read_use_case

pytestmark = pytest.mark.integration

FIRST, SECOND = PartitionRange.parse("2013-01-02"), PartitionRange.parse("2013-01-03")
ROW = {
    "carrier": "UA",
    "origin": "EWR",
    "dest": "IAH",
    "tailnum": "N14228",
    "sched_hour": 5,
    "scheduled_departure": SECOND.end + timedelta(hours=1),
}


class Checkout:
    """A checkout of a test's own, whose feature views it changes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        real = get_settings().root
        shutil.copytree(real / "feature_repo", root / "feature_repo")
        shutil.copytree(real / "include" / "use_cases", root / "include" / "use_cases")
        self.folder = root / "include" / "use_cases" / "flight_delays"

    @property
    def use_case(self) -> UseCase:
        return read_use_case(self.folder)

    def replace(self, path: str, old: str, new: str) -> None:
        file = self.root / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))


@pytest.fixture
def checkout(database: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Checkout]:
    close_store()
    made = Checkout(tmp_path)
    monkeypatch.setenv("MLFORGE_ROOT", str(tmp_path))
    get_settings.cache_clear()
    fill_warehouse(made.use_case, PartitionRange(FIRST.first, SECOND.last))
    yield made
    close_store()
    monkeypatch.undo()
    get_settings.cache_clear()


def _materialize(use_case: UseCase, days: PartitionRange) -> None:
    materialize_features(use_case, build_features(use_case, days))


def _plan(folder: Path, bento: str) -> OnlinePlan:
    folder.mkdir()
    write_plan(folder, "flight_delays", bento)
    return read_plan(folder, "flight_delays")


def _read(plan: OnlinePlan) -> RowFeatures:
    async def read() -> RowFeatures:
        reader = OnlineReader(plan, "scheduled_departure")
        try:
            return await reader.read(ROW)
        finally:
            await reader.close()

    return asyncio.run(read())


def _release(bento: str) -> None:
    """Write a release into the ledger, as if it had been promoted."""
    columns = (
        "use_case, sequence, parent_id, kind, partition_key, model_name, model_version, model_uri, mlflow_run_id, "
        "content_hash, bento, feature_service, training_set, evidence, traffic_plan, code_version, who, why"
    )
    with db.connect() as connection:
        connection.execute(
            f"INSERT INTO ledger.releases ({columns}) SELECT 'flight_delays', count(*) + 1, max(release_id), "
            "'promote', 'k', 'm', 1, 'u', 'r', 'h', %s, 'flight_delays', %s, %s, %s, 'c', 'w', 'w' "
            "FROM ledger.releases",
            [bento, Jsonb({}), Jsonb({}), Jsonb({})],
        )


def _versions(view: str) -> list[tuple[Any, ...]]:
    with db.connect() as connection:
        return connection.execute(
            "SELECT DISTINCT view_version, partition_key FROM ledger.materializations WHERE view = %s "
            "ORDER BY partition_key, view_version",
            [view],
        ).fetchall()


def _twice_the_mean(checkout: Checkout) -> None:
    """Add a feature to the carriers' view."""
    checkout.replace(
        "include/use_cases/flight_delays/features/carrier_delays.sql",
        "count(*)::double precision AS flights_28d,",
        "count(*)::double precision AS flights_28d, 2.0::double precision * count(*) AS twice_flights,",
    )
    checkout.replace("feature_repo/flight_delays.py", '"flights_28d",', '"flights_28d", "twice_flights",')


def test_a_live_release_goes_on_reading_its_version(checkout: Checkout, tmp_path: Path) -> None:
    apply_features(checkout.use_case)
    _materialize(checkout.use_case, FIRST)
    old = _plan(tmp_path / "old", "release:1")
    _release("release:1")
    before, times, flags = _read(old)
    assert times["carrier_delays"] == FIRST.end
    assert before["carrier_delays__flights_28d"] > 0

    _twice_the_mean(checkout)
    apply_features(checkout.use_case)
    assert _read(old) == (before, times, flags)
    new = _plan(tmp_path / "new", "release:2")
    assert {view.name: (view.version, view.table) for view in new.views}["carrier_delays"] == (
        1,
        "mlforge_carrier_delays_v1",
    )
    # Nothing is online in the new version yet: missing is said, nothing wrong is given.
    assert "missing:carrier_delays" in _read(new)[2]

    _materialize(checkout.use_case, SECOND)
    assert _versions("carrier_delays") == [(0, "2013-01-02"), (0, "2013-01-03"), (1, "2013-01-03")]
    assert _versions("route_delays") == [(0, "2013-01-02"), (0, "2013-01-03")]
    old_values, old_times, _ = _read(old)
    new_values, new_times, _ = _read(new)
    assert old_times == new_times
    assert new_times["carrier_delays"] == SECOND.end
    assert old_values == {name: value for name, value in new_values.items() if name in old_values}
    assert set(new_values) - set(old_values) == {"carrier_delays__twice_flights"}
    assert new_values["carrier_delays__twice_flights"] == 2 * new_values["carrier_delays__flights_28d"]
    online = read_online(open_store(), checkout.use_case, {name: [value] for name, value in ROW.items()})
    assert {name: online.columns[name][0] for name in new_values} == new_values


def test_a_description_makes_no_version_and_loses_none(checkout: Checkout) -> None:
    """Feast alone would read version 0 again after this."""
    apply_features(checkout.use_case)
    _twice_the_mean(checkout)
    apply_features(checkout.use_case)
    _materialize(checkout.use_case, FIRST)
    checkout.replace("feature_repo/flight_delays.py", "Delays of the carrier,", "The carrier's delays,")
    apply_features(checkout.use_case)
    view = open_store().get_feature_view("carrier_delays")
    assert (view.current_version_number, view.description[:11]) == (1, "The carrier")
    assert [each["version_number"] for each in open_store().list_feature_view_versions("carrier_delays")] == [0, 1]
    online = read_online(open_store(), checkout.use_case, {name: [value] for name, value in ROW.items()})
    assert online.columns["carrier_delays__twice_flights"][0] > 0


def test_a_static_view_of_a_new_version_comes_online(checkout: Checkout) -> None:
    apply_features(checkout.use_case)
    _materialize(checkout.use_case, FIRST)
    _materialize(checkout.use_case, FIRST)
    assert _versions("planes") == [(0, "static")]
    checkout.replace(
        "feature_repo/flight_delays.py", '    ["built_year", "seats", "engines"],', '    ["built_year", "seats"],'
    )
    apply_features(checkout.use_case)
    _materialize(checkout.use_case, SECOND)
    # No release reads version 0: it is left alone.
    assert _versions("planes") == [(0, "static"), (1, "static")]
    values = read_online(open_store(), checkout.use_case, {name: [value] for name, value in ROW.items()}).columns
    assert values["planes__seats"][0] > 0


def test_a_new_version_gets_what_is_not_older_than_its_time_to_live(checkout: Checkout) -> None:
    apply_features(checkout.use_case)
    build_features(checkout.use_case, FIRST)
    with db.connect() as connection:
        connection.execute(
            "INSERT INTO features.flight_delays__carrier_delays (carrier, event_timestamp, known_at, flights_28d, "
            "partition_key) VALUES ('Z1', %(old)s, %(old)s, 1, 'old'), ('Z2', %(older)s, %(older)s, 1, 'old')",
            {"old": SECOND.end - timedelta(days=7), "older": SECOND.end - timedelta(days=7, seconds=1)},
        )
    _materialize(checkout.use_case, SECOND)
    rows = {name: [value, value] for name, value in {**ROW, "scheduled_departure": SECOND.end}.items()}
    online = read_online(open_store(), checkout.use_case, {**rows, "carrier": ["Z1", "Z2"]})
    assert [times["carrier_delays"] for times in online.feature_times] == [SECOND.end - timedelta(days=7), None]
    assert sync_online(checkout.use_case)["route_delays"] > 0
