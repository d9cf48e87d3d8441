"""Equal content has equal hashes in any order, and what changes changes them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from psycopg import sql

from mlforge import db
from mlforge.db.content import partition_hashes
from mlforge.settings import Settings

pytestmark = pytest.mark.integration

_ROWS = [("a", 1, 0.5, None), ("b", 2, 1.5, "x"), ("a\nb", 3, None, "x")]


def _hash(rows: Sequence[tuple[object, ...]]) -> str:
    with db.connect() as connection:
        connection.execute("CREATE TEMPORARY TABLE hashed (partition_key text, t text, i int, f float8, n text)")
        connection.cursor().executemany("INSERT INTO hashed VALUES ('p', %s, %s, %s, %s)", rows)
        hashes = partition_hashes(connection, sql.Identifier("hashed"), ["t", "i", "f", "n"])
        connection.execute("DROP TABLE hashed")
    return hashes["p"]


def test_the_order_of_rows_does_not_matter(module_database: Settings) -> None:
    assert _hash(_ROWS) == _hash(_ROWS[::-1])


@pytest.mark.parametrize(
    "rows",
    [
        _ROWS[:2],
        [*_ROWS, _ROWS[0]],
        [("a", 2, 0.5, None), ("b", 1, 1.5, "x"), ("a\nb", 3, None, "x")],  # two rows exchange a value
        [("a", 1, None, None), ("b", 2, 1.5, "x"), ("a\nb", 3, 0.5, "x")],  # and with one that is missing
        [("x", 2, 1.5, "b"), *_ROWS[::2]],  # two columns do
        [("a", 1, 0.5, ""), *_ROWS[1:]],
    ],
)
def test_what_changes_changes_the_hash(module_database: Settings, rows: list[tuple[object, ...]]) -> None:
    assert _hash(rows) != _hash(_ROWS)
