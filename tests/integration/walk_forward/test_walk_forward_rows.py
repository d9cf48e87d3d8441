"""A walk's rows as of a week are those of `features.assemble`, whatever was corrected or came late."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import pyarrow as pa
import pytest

from mlforge import db
from mlforge.features import assemble_training_set
from mlforge.features.steps import training_set_bytes
from mlforge.refs import PartitionRange
from mlforge.spec import UseCase
from mlforge.walk_forward import rows as rows_module
from mlforge.walk_forward.rows import WalkRows
from mlforge.walk_forward.weeks import Week

pytestmark = pytest.mark.integration

WEEKS = [Week(date(2013, 1, 14)), Week(date(2013, 1, 21))]
_PUBLISHED_AGAIN = """
INSERT INTO ledger.publications (use_case, dataset, partition_key, version, attempt, rows_in, rows_published,
    rows_quarantined, rows_duplicate, content_hash, raw_uri, raw_hash, contract_version, code_version)
VALUES ('flight_delays', 'flights', '2013-01-07', 2, 2, 0, 0, 0, 0, 'other', 'u', 'other', '1', 'c')
"""


def ours(use_case: UseCase, week: Week) -> pa.Table:
    start = week.as_of - timedelta(days=use_case.training.window_days)
    return WalkRows(use_case, week).assemble(start, week.as_of, week.as_of)


def content_hash(table: pa.Table) -> str:
    return hashlib.sha256(training_set_bytes(table)).hexdigest()


def wanted(use_case: UseCase, week: Week) -> str:
    """Return the content hash of the training set as of the week's first instant."""
    return assemble_training_set(use_case, PartitionRange.parse(str(week.first - timedelta(days=1)))).content_hash


@pytest.fixture
def changed_flights(january: UseCase) -> Iterator[None]:
    """Let a test change flights; afterwards they are as they were."""
    with db.connect() as connection:
        connection.execute("CREATE TABLE warehouse.kept AS SELECT * FROM warehouse.flight_delays__flights")
    yield
    with db.connect() as connection:
        connection.execute("DELETE FROM warehouse.flight_delays__flights")
        connection.execute("INSERT INTO warehouse.flight_delays__flights SELECT * FROM warehouse.kept")
        connection.execute("DROP TABLE warehouse.kept")


def change(statement: str, week: Week) -> int:
    with db.connect() as connection:
        values = {"monday": week.as_of, "friday": week.as_of - timedelta(days=3)}
        return connection.execute(statement.encode(), values).rowcount


def test_rows_as_of_a_week_are_those_of_a_training_set(january: UseCase) -> None:
    for week in WEEKS:
        table = ours(january, week)
        assert content_hash(table) == wanted(january, week)
        known: list[datetime] = table.column("known_at").to_pylist()
        assert max(known) <= week.as_of


def test_each_row_is_joined_once(january: UseCase, monkeypatch: pytest.MonkeyPatch) -> None:
    for week in WEEKS:
        ours(january, week)
    monkeypatch.setattr(rows_module.steps, "join_features", lambda *_: pytest.fail("joined again"))
    for week in WEEKS:
        assert ours(january, week).num_rows > 1000


@pytest.mark.usefixtures("changed_flights")
def test_late_and_corrected_rows_are_as_in_a_training_set(january: UseCase) -> None:
    """Rows were joined; then some become known later, some get another outcome, others another key."""
    week = WEEKS[1]
    before = content_hash(ours(january, week))
    flights = "warehouse.flight_delays__flights"
    recent = "event_timestamp >= %(friday)s AND event_timestamp < %(monday)s"
    late = f"UPDATE {flights} SET known_at = %(monday)s + interval '1 hour' WHERE carrier = 'B6' AND {recent}"
    corrected = f"UPDATE {flights} SET arr_delay = arr_delay + 60 WHERE carrier = 'UA' AND {recent}"
    renamed = f"UPDATE {flights} SET tailnum = 'N14228' WHERE carrier = 'DL' AND {recent}"
    assert all(change(statement, week) > 10 for statement in (late, corrected, renamed))
    table = ours(january, week)
    assert content_hash(table) == wanted(january, week) != before


@pytest.mark.usefixtures("changed_flights")
def test_the_features_of_a_row_are_joined_anew_when_they_were_built_anew(january: UseCase) -> None:
    from mlforge.features import build_features

    week = WEEKS[0]
    before = content_hash(ours(january, week))
    day = PartitionRange.parse("2013-01-08")
    late_flights = "UPDATE warehouse.flight_delays__flights SET arr_delay = 500 WHERE carrier = 'UA' AND "
    assert change(late_flights + "known_at < %(monday)s - interval '6 days' AND arr_delay IS NOT NULL", week) > 10
    with db.connect() as connection:
        connection.execute(_PUBLISHED_AGAIN)
    build_features(january, day)
    assert content_hash(ours(january, week)) == wanted(january, week) != before
