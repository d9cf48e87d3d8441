"""Hashes of what tables hold, computed where the rows are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

EMPTY_HASH = hashlib.sha256(b"").hexdigest()

# The rows of a partition are distinct, so that the sum without carry (XOR) of their digests tells sets apart; it
# needs no order, and so no sorting.
_HASHES: LiteralString = """
    SELECT partition_key, encode(sha256(convert_to(count(*) || ':' || bit_xor(digest)::text, 'UTF8')), 'hex')
    FROM (SELECT partition_key,
                 ('x' || encode(sha256(convert_to(ROW({columns})::text, 'UTF8')), 'hex'))::bit(256) AS digest
          FROM {table} WHERE {condition}) AS digests
    GROUP BY partition_key
"""


def partition_hashes(
    connection: psycopg.Connection[Any],
    table: sql.Composable,
    columns: Sequence[str],
    condition: sql.Composable | None = None,
) -> dict[str, str]:
    """Return the SHA-256 of each partition's distinct rows, hexadecimal, whatever the order of the rows.

    Args:
        connection: Its session is in UTC, so that times are written alike everywhere.
        table: The table, with a column `partition_key`.
        columns: What counts.
        condition: Which rows count; all without one.
    """
    connection.execute("SET LOCAL extra_float_digits = 1")
    connection.execute("SET LOCAL datestyle = 'ISO, YMD'")
    query = sql.SQL(_HASHES).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)), table=table, condition=condition or sql.SQL("true")
    )
    return dict(connection.execute(query).fetchall())


def combine_hashes(hashes: Mapping[str, str]) -> str:
    """Return one SHA-256, hexadecimal, for the hashes of several partitions."""
    lines = "".join(f"{key}={hashes[key]}\n" for key in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()
