"""Rows of a spine find their features among rows that were joined before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from mlforge.walk_forward.rows import _as_joined, _find_rows, _same_rows

START = datetime(2013, 1, 1, tzinfo=UTC)
AS_OF = START + timedelta(hours=50)
ASKED = ["event_timestamp", "carrier", "flight"]
_MOMENT = pa.timestamp("us", tz="UTC")
# Hour, carrier, number that may be unknown, hours until the outcome is known.
_ROWS = st.lists(
    st.tuples(
        st.integers(0, 40), st.sampled_from(["UA", "DL", None]), st.none() | st.integers(1, 3), st.integers(0, 30)
    ),
    max_size=12,
    unique_by=lambda row: row[:3],
)


def table(rows: list[Any]) -> pa.Table:
    """Return rows in the order of a spine; the value tells them apart."""
    ordered = sorted(rows, key=lambda row: (row[0], row[1] or "", row[2] or 0))
    columns = {
        "event_timestamp": pa.array([START + timedelta(hours=row[0]) for row in ordered], _MOMENT),
        "carrier": pa.array([row[1] for row in ordered], pa.string()),
        "flight": pa.array([row[2] for row in ordered], pa.int64()),
        "known_at": pa.array([START + timedelta(hours=row[0] + row[3]) for row in ordered], _MOMENT),
        "value": pa.array([repr(row[:3]) for row in ordered], pa.string()),
    }
    return pa.table(columns)


def known(rows: list[Any]) -> list[Any]:
    return [row for row in rows if START + timedelta(hours=row[0] + row[3]) <= AS_OF]


@given(rows=_ROWS)
def test_rows_that_are_known_are_found_without_a_search(rows: list[Any]) -> None:
    kept, spine = table(rows), table(known(rows))
    if spine.num_rows:
        places = _same_rows(spine, kept, ASKED, AS_OF)
        assert places is not None
        assert kept.take(places).equals(spine)


@given(rows=_ROWS, joined=st.data())
def test_each_row_finds_its_own_or_is_told_as_lacking(rows: list[Any], joined: st.DataObject) -> None:
    chosen = joined.draw(st.lists(st.sampled_from(rows), unique=True) if rows else st.just([]))
    if not rows or not chosen:
        return
    spine, kept = table(rows), table(chosen)
    places, lacking = _find_rows(spine, kept, ASKED)
    whole = pa.concat_tables([kept, lacking])
    assert whole.take(places).column("value").equals(spine.column("value"))
    assert lacking.num_rows == len(rows) - len(chosen)


@given(rows=_ROWS, place=st.integers(0, 11))
def test_a_row_with_another_key_is_not_taken_for_the_one_that_was(rows: list[Any], place: int) -> None:
    if len(known(rows)) <= place:
        return
    changed = list(rows)
    changed[rows.index(known(rows)[place])] = (*known(rows)[place][:1], "B6", *known(rows)[place][2:])
    assert _same_rows(table(known(changed)), table(rows), ASKED, AS_OF) is None


def test_columns_have_the_types_that_they_have_behind_a_join() -> None:
    given_types = pa.table(
        {
            "whole": pa.array([1, 2]),
            "gaps": pa.array([1, None]),
            "nan": pa.array([1.0, float("nan")]),
            "view__nan": pa.array([1.0, float("nan")]),
            "nothing": pa.nulls(2),
        }
    )
    joined = _as_joined(given_types)
    assert [str(field.type) for field in joined.schema] == ["int64", "double", "double", "double", "string"]
    assert joined.column("nan").null_count == 1
    assert joined.column("view__nan").null_count == 0
