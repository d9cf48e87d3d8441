from __future__ import annotations

from collections.abc import Callable

import pytest

from mlforge import db
from mlforge.errors import FeatureError
from mlforge.features import build_features
from mlforge.refs import PartitionRange
from mlforge.spec import UseCase

pytestmark = pytest.mark.integration

DAYS = PartitionRange.parse("2013-01-01..2013-01-05")


@pytest.fixture(scope="module")
def built(fill: Callable[[PartitionRange], None], use_case: UseCase) -> None:
    fill(DAYS)
    build_features(use_case, DAYS)


def _scalar(query: str, *values: object) -> object:
    with db.connect() as connection:
        row = connection.execute(query, values).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.usefixtures("built")
class TestBuild:
    def test_every_view_has_a_ledger_row_per_partition(self) -> None:
        with db.connect() as connection:
            found = dict(
                connection.execute(
                    "SELECT view, array_agg(partition_key ORDER BY partition_key) FROM ledger.feature_publications "
                    "GROUP BY view"
                ).fetchall()
            )
        assert found.pop("planes") == ["static"]
        assert set(found) == {"carrier_delays", "route_delays", "origin_hour_delays", "tail_delays", "weather"}
        assert all(keys == DAYS.keys for keys in found.values())

    def test_the_same_input_changes_nothing(self, use_case: UseCase) -> None:
        before = _scalar("SELECT count(*) FROM ledger.feature_publications")
        first, again = build_features(use_case, DAYS), build_features(use_case, DAYS)
        assert (again.changed, again.content_hash, again.views) == (0, first.content_hash, first.views)
        assert _scalar("SELECT count(*) FROM ledger.feature_publications") == before

    def test_a_range_gives_what_its_days_give(self, use_case: UseCase) -> None:
        together = build_features(use_case, DAYS)
        apart = [build_features(use_case, day) for day in DAYS]
        for view in ("carrier_delays", "weather"):
            assert together.views[view] == sum(part.views[view] for part in apart)

    def test_a_snapshot_counts_what_was_known_when_the_day_ended(self) -> None:
        counted = _scalar(
            "SELECT flights_28d FROM features.flight_delays__carrier_delays "
            "WHERE carrier = 'UA' AND partition_key = '2013-01-03'"
        )
        expected = _scalar(
            "SELECT count(*) FROM warehouse.flight_delays__flights "
            "WHERE carrier = 'UA' AND known_at <= '2013-01-04T00:00Z'"
        )
        assert counted == expected

    def test_the_last_delay_is_the_newest_known_flight(self) -> None:
        wrong = _scalar(
            """
            SELECT count(*) FROM features.flight_delays__tail_delays AS f
            WHERE f.last_arr_delay IS DISTINCT FROM (
                SELECT w.arr_delay FROM warehouse.flight_delays__flights AS w
                WHERE w.tailnum = f.tailnum AND w.known_at <= f.event_timestamp AND w.arr_delay IS NOT NULL
                ORDER BY w.known_at DESC, w.event_timestamp DESC, w.flight DESC LIMIT 1)
            """
        )
        assert wrong == 0

    def test_the_hour_of_the_source_is_the_hour_that_serving_derives(self, use_case: UseCase) -> None:
        from mlforge.spec.module import load_model_module

        with db.connect() as connection:
            rows = connection.execute("SELECT hour, event_timestamp FROM warehouse.flight_delays__flights").fetchall()
        derived = load_model_module(use_case).derive({"scheduled_departure": [moment for _, moment in rows]})
        assert derived["sched_hour"] == [hour for hour, _ in rows]

    def test_an_unpublished_day_is_named(self, use_case: UseCase) -> None:
        with pytest.raises(FeatureError, match=r"not published.*flights 2013-01-06.*weather 2013-01-06"):
            build_features(use_case, PartitionRange.parse("2013-01-05..2013-01-06"))


@pytest.mark.usefixtures("built")
def test_a_later_publication_of_an_older_day_changes_the_days_after_it(use_case: UseCase) -> None:
    """Late rows: the day is published again with one flight less, so its own and later snapshots change."""
    with db.connect() as connection:
        connection.execute(
            "DELETE FROM warehouse.flight_delays__flights WHERE ctid = (SELECT ctid FROM "
            "warehouse.flight_delays__flights WHERE partition_key = '2013-01-03' AND carrier = 'UA' AND "
            "known_at < '2013-01-04T00:00Z' LIMIT 1)"
        )
        connection.execute(
            "INSERT INTO ledger.publications (use_case, dataset, partition_key, version, attempt, rows_in, "
            "rows_published, rows_quarantined, rows_duplicate, content_hash, raw_uri, raw_hash, contract_version, "
            "code_version) "
            "VALUES ('flight_delays', 'flights', '2013-01-03', 2, 2, 0, 0, 0, 0, 'h2', 'u', 'h', '1', 'c')"
        )
    assert build_features(use_case, PartitionRange.parse("2013-01-02")).changed == 0
    assert build_features(use_case, PartitionRange.parse("2013-01-03")).changed == 4
    assert build_features(use_case, PartitionRange.parse("2013-01-05")).changed >= 3


class TestWrongSql:
    @pytest.fixture
    def wrong(self, use_case: UseCase, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], UseCase]:
        def replace(text: str) -> UseCase:
            monkeypatch.setattr(type(use_case), "sql", lambda self, relative: text)
            return use_case

        return replace

    @pytest.mark.usefixtures("built")
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("SELECT carrier FROM warehouse.nothing", r"features/carrier_delays\.sql: the SQL is wrong.*nothing"),
            ("SELECT 1 AS a, 2 AS b", "must be the entity's, then event_timestamp"),
            (
                "SELECT 'UA' AS carrier, %(end)s AS event_timestamp, %(end)s AS known_at, 'x' AS late_share_7d",
                "'late_share_7d' is double precision in features.flight_delays__carrier_delays, but the SQL gives text",
            ),
            (
                "SELECT 'UA' AS carrier, %(end)s AS event_timestamp, %(end)s AS known_at FROM generate_series(1, 2)",
                "one row per entity",
            ),
        ],
    )
    def test_the_file_and_the_reason_are_named(self, wrong: Callable[[str], UseCase], text: str, message: str) -> None:
        with pytest.raises(FeatureError, match=message):
            build_features(wrong(text), DAYS)
