"""No leak from the future: what is known late stays out, whatever it would tell (promise 2)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mlforge import db, storage
from mlforge.features import assemble_training_set, build_features
from mlforge.features.store import store_config
from mlforge.features.stores.offline import Lookup, Spine, SpineJoinJob
from mlforge.refs import PartitionRange
from mlforge.spec import UseCase

pytestmark = pytest.mark.integration

DAYS = PartitionRange.parse("2013-01-02..2013-01-06")
_PLANT = """
INSERT INTO features.flight_delays__carrier_delays (carrier, event_timestamp, known_at, late_share_7d, partition_key)
SELECT carrier, event_timestamp, %(late)s, (arr_delay > 15)::int, 'planted' FROM (
    SELECT DISTINCT ON (carrier, event_timestamp) carrier, event_timestamp, arr_delay
    FROM warehouse.flight_delays__flights
    WHERE event_timestamp >= %(start)s AND event_timestamp < %(end)s AND arr_delay IS NOT NULL
    ORDER BY carrier, event_timestamp, flight
) AS outcomes
"""
_NAIVE = """
SELECT f.arr_delay > 15 AS late, c.late_share_7d
FROM warehouse.flight_delays__flights AS f
LEFT JOIN LATERAL (
    SELECT late_share_7d FROM features.flight_delays__carrier_delays AS c
    WHERE c.carrier = f.carrier AND c.event_timestamp <= f.event_timestamp
    ORDER BY c.event_timestamp DESC LIMIT 1
) AS c ON true
WHERE f.event_timestamp >= %s AND f.event_timestamp < %s AND f.arr_delay IS NOT NULL AND f.known_at <= %s
ORDER BY f.event_timestamp, f.carrier, f.flight
"""


@pytest.fixture(scope="module")
def built(fill: Callable[[PartitionRange], None], use_case: UseCase) -> UseCase:
    fill(PartitionRange.parse("2013-01-01..2013-01-06"))
    build_features(use_case, DAYS)
    return use_case


@pytest.fixture
def planted(built: UseCase) -> Iterator[int]:
    """Each flight's own outcome as a feature of its carrier: about its departure, but known after all of them."""
    late = DAYS.end + timedelta(seconds=1)
    with db.connect() as connection:
        rows = connection.execute(_PLANT, {"start": DAYS.start, "end": DAYS.end, "late": late}).rowcount
    yield rows
    with db.connect() as connection:
        connection.execute("DELETE FROM features.flight_delays__carrier_delays WHERE partition_key = 'planted'")


def _auc(late: np.ndarray, feature: np.ndarray) -> float:
    """Return the score on the last third of the rows of a model fitted on the others."""
    split = len(late) * 2 // 3
    matrix = np.column_stack([np.nan_to_num(feature), np.isnan(feature)])
    model = LogisticRegression().fit(matrix[:split], late[:split])
    return float(roc_auc_score(late[split:], model.predict_proba(matrix[split:])[:, 1]))


def _naive() -> float:
    with db.connect() as connection:
        rows = connection.execute(_NAIVE, [DAYS.start, DAYS.end, DAYS.end]).fetchall()
    late, feature = zip(*rows, strict=True)
    return _auc(np.array(late, dtype=bool), np.array(feature, dtype=float))


def _ours(use_case: UseCase) -> tuple[float, str]:
    training_set = assemble_training_set(use_case, DAYS)
    frame = pq.read_table(io.BytesIO(storage.read_bytes(training_set.uri))).to_pandas()
    frame = frame[frame["event_timestamp"] >= DAYS.start]
    late = (frame["arr_delay"] > 15).to_numpy()
    return _auc(late, frame["carrier_delays__late_share_7d"].to_numpy(float)), training_set.content_hash


def test_a_late_leak_raises_a_naive_score_and_not_ours(built: UseCase, request: pytest.FixtureRequest) -> None:
    naive_before, (ours_before, content) = _naive(), _ours(built)
    assert request.getfixturevalue("planted") > 1000
    ours, planted_content = _ours(built)
    assert (ours, planted_content) == (ours_before, content)
    assert _naive() > max(naive_before, ours) + 0.15


def test_a_late_outcome_of_a_flight_is_no_example_yet(built: UseCase) -> None:
    with db.connect() as connection:
        moved = connection.execute(
            "UPDATE warehouse.flight_delays__flights SET known_at = %s, arr_delay = 999 WHERE carrier = 'HA'",
            [DAYS.end + timedelta(seconds=1)],
        ).rowcount
    training_set = assemble_training_set(built, DAYS)
    table = pq.read_table(io.BytesIO(storage.read_bytes(training_set.uri)))
    assert moved > 0
    assert "HA" not in table.column("carrier").to_pylist()
    assert max(table.column("known_at").to_pylist()) <= DAYS.end


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    later=st.timedeltas(timedelta(microseconds=1), timedelta(days=400)),
    earlier=st.timedeltas(timedelta(0), timedelta(days=5)),
    view=st.sampled_from(["carrier_delays", "route_delays", "tail_delays"]),
)
def test_nothing_known_later_changes_a_training_set(
    built: UseCase, later: timedelta, earlier: timedelta, view: str
) -> None:
    """Rows about any time before, published after the training set's moment."""
    before = assemble_training_set(built, DAYS).content_hash
    table = f"features.flight_delays__{view}"
    with db.connect() as connection:
        planted = connection.execute(
            f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object('event_timestamp', "
            "%s::timestamptz, 'known_at', %s::timestamptz, 'flights_28d', 1e6, 'partition_key', 'planted'))).* "
            f"FROM {table} AS t WHERE partition_key = %s",
            [DAYS.end - earlier, DAYS.end + later, DAYS.last_key],
        ).rowcount
    try:
        assert planted > 0
        assert assemble_training_set(built, DAYS).content_hash == before
    finally:
        with db.connect() as connection:
            connection.execute(f"DELETE FROM {table} WHERE partition_key = 'planted'".encode())


# Composite keys whose parts flow into each other when they are glued together.
_KEYS = st.sampled_from([("A", "BC"), ("AB", "C"), ("", "ABC"), ("ABC", ""), ("A", "B")])
_START = datetime(2013, 1, 1, tzinfo=UTC)
_MINUTES = st.integers(0, 60).map(lambda minutes: _START + timedelta(minutes=minutes))
_ROWS = st.lists(
    st.tuples(_KEYS, _MINUTES, st.integers(0, 30), st.one_of(st.none(), st.floats(-9, 9))),
    max_size=25,
    unique_by=lambda row: row[:3],
)
_SPINE = st.lists(st.tuples(_KEYS, _MINUTES), min_size=1, max_size=15)
_ASOF = """
WITH moments AS (
    SELECT s.place, s.a, s.b, s.event_timestamp AS moment, v.*
    FROM spine AS s
    LEFT JOIN (SELECT a AS va, b AS vb, event_timestamp AS happened, known_at, value FROM rows) AS v
      ON v.va = s.a AND v.vb = s.b AND v.happened <= s.event_timestamp AND v.known_at <= s.event_timestamp
     AND v.happened >= s.event_timestamp - to_seconds({ttl})
), visible AS (
    SELECT place, arg_max(coalesce(value, 'nan'::double), struct_pack(a := happened, b := known_at)) AS value
    FROM moments WHERE happened IS NOT NULL GROUP BY place
)
SELECT s.place, v.value FROM spine AS s LEFT JOIN visible AS v USING (place) ORDER BY s.place
"""


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_ROWS, spine=_SPINE, ttl=st.sampled_from([600, 3600, 100_000]))
def test_the_join_is_what_duckdb_computes(built: UseCase, rows: list[Any], spine: list[Any], ttl: int) -> None:
    """Corrections, late rows, a time to live, and keys ('A', 'BC') and ('AB', 'C'): cell by cell."""
    offline = pd.DataFrame(
        [(a, b, event, event + timedelta(minutes=late), value) for (a, b), event, late, value in rows],
        columns=["a", "b", "event_timestamp", "known_at", "value"],
    ).astype({"event_timestamp": "datetime64[us, UTC]", "known_at": "datetime64[us, UTC]", "value": float})
    asked = pd.DataFrame([(a, b, moment) for (a, b), moment in spine], columns=["a", "b", "event_timestamp"])
    asked = asked.astype({"event_timestamp": "datetime64[us, UTC]"})
    _store(offline)
    lookup = Lookup("features.as_of", {"a": "a", "b": "b"}, {"value": "value"}, "event_timestamp", "known_at", ttl)
    config = _config()
    job = SpineJoinJob(
        Spine(asked, ("a", "b", "event_timestamp"), "event_timestamp"),
        [lookup],
        config=config,
        full_feature_names=False,
        on_demand_feature_views=[],
    )
    ours = job.to_arrow().column("value").to_pylist()
    with duckdb.connect() as connection:
        connection.register("rows", pa.Table.from_pandas(offline, preserve_index=False))
        connection.register("spine", pa.Table.from_pandas(asked.assign(place=range(len(asked))), preserve_index=False))
        expected = [value for _, value in connection.execute(_ASOF.format(ttl=ttl)).fetchall()]
    assert [_plain(value) for value in ours] == [_plain(value) for value in expected]


def _plain(value: float | None) -> float | None:
    return None if value is None or value != value else value


def _config() -> Any:
    from feast import RepoConfig

    return RepoConfig(**store_config())


def _store(rows: pd.DataFrame) -> None:
    with db.connect() as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS features.as_of")
        cursor.execute(
            "CREATE TABLE features.as_of "
            "(a text, b text, event_timestamp timestamptz, known_at timestamptz, value float8)"
        )
        cursor.executemany(
            "INSERT INTO features.as_of VALUES (%s, %s, %s, %s, %s)",
            [[None if value != value else value for value in row] for row in rows.itertuples(index=False)],
        )
