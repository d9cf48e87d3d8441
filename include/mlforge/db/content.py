"""Hashes of what tables hold, computed where the rows are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

EMPTY_HASH = hashlib.sha256(b"").hexdigest()

# Sums need no order, and so no sorting. A record's hash is linear in those of its columns (31 a + b): summed as it is,
# two rows could exchange a value unseen. So it is hashed once more.
_HASHES: LiteralString = """
    SELECT partition_key,
           encode(sha256(convert_to(concat_ws(':', count(*), sum(digest), bit_xor(digest)), 'UTF8')), 'hex')
    FROM (SELECT partition_key, hashint8extended(hash_record_extended(ROW({columns}), 0), 1) AS digest
          FROM {table} WHERE {condition}) AS digests
    GROUP BY partition_key
"""
_SESSION: tuple[LiteralString, ...] = ("SET LOCAL parallel_setup_cost = 100", "SET LOCAL parallel_tuple_cost = 0.001")


def partition_hashes(
    connection: psycopg.Connection[Any],
    table: sql.Composable,
    columns: Sequence[str],
    condition: sql.Composable | None = None,
) -> dict[str, str]:
    """Return a hash of each partition's rows, 64 digits, whatever the order of the rows.

    It tells whether content has changed: equal rows have equal hashes, and a change is overlooked with a chance of
    2^-64. It is no proof against forgery, and another major version of PostgreSQL may give another one.

    Args:
        connection: Any session.
        table: The table, with a column `partition_key`.
        columns: What counts.
        condition: Which rows count; all without one.
    """
    for statement in _SESSION:
        connection.execute(statement)
    query = sql.SQL(_HASHES).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)), table=table, condition=condition or sql.SQL("true")
    )
    return dict(connection.execute(query).fetchall())


def combine_hashes(hashes: Mapping[str, str]) -> str:
    """Return one SHA-256, hexadecimal, for the hashes of several partitions."""
    lines = "".join(f"{key}={hashes[key]}\n" for key in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()
