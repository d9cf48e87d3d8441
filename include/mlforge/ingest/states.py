"""What stands in the ledger for each partition, and what shall stand there once staging is published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from mlforge.db.content import EMPTY_HASH, combine_hashes, partition_hashes
from mlforge.errors import TerminalError
from mlforge.ingest.warehouse import published_columns
from mlforge.refs import CheckedPartition
from mlforge.spec import UseCase

_NEWEST: LiteralString = """
    SELECT DISTINCT ON (partition_key)
           partition_key, version, content_hash, quarantine_hash, rows_in, rows_published, rows_quarantined,
           rows_duplicate
    FROM ledger.publications
    WHERE use_case = %(use_case)s AND dataset = %(dataset)s AND partition_key = ANY(%(keys)s)
    ORDER BY partition_key, version DESC
"""
_COUNTS: LiteralString = """
    SELECT partition_key, sum(_copies)::bigint, count(*) - count(_rules), count(_rules),
           (sum(_copies) - count(*))::bigint
    FROM {staged} GROUP BY partition_key
"""
_CHECKED: LiteralString = """
    SELECT partition_key, rows_in, rows_kept, rows_broken, rows_duplicate, content_hash, quarantine_hash
    FROM ledger.contract_checks
    WHERE use_case = %(use_case)s AND dataset = %(dataset)s AND partition_key = ANY(%(keys)s) AND attempt = %(attempt)s
"""


@dataclass(frozen=True)
class PartitionState:
    """What stands, or shall stand, in the ledger for one partition."""

    version: int
    content_hash: str
    quarantine_hash: str
    rows_in: int
    rows_published: int
    rows_quarantined: int
    rows_duplicate: int

    def same_content(self, other: PartitionState) -> bool:
        """Return whether nothing but the version differs."""
        return {**vars(self), "version": 0} == {**vars(other), "version": 0}


def newest_states(connection: psycopg.Connection[Any], names: dict[str, Any]) -> dict[str, PartitionState]:
    """Return what the newest publication of each partition holds; partitions without one are left out."""
    return {key: PartitionState(*rest) for key, *rest in connection.execute(_NEWEST, names).fetchall()}


def stands(before: Mapping[str, PartitionState], checked: CheckedPartition, keys: list[str]) -> bool:
    """Return whether the checked content is what was published last: this call repeats one that had come through."""
    hashes = {key: before[key].content_hash for key in keys if key in before}
    return len(hashes) == len(keys) and combine_hashes(hashes) == checked.content_hash


def staged_states(
    connection: psycopg.Connection[Any],
    use_case: UseCase,
    checked: CheckedPartition,
    staged: sql.Identifier,
    before: Mapping[str, PartitionState],
    names: dict[str, Any],
) -> dict[str, PartitionState]:
    """Return what the partitions will be, after checking that staging still holds what was checked."""
    keys = names["keys"]
    counts = {key: rest for key, *rest in connection.execute(sql.SQL(_COUNTS).format(staged=staged)).fetchall()}
    hashes, aside = _recorded(connection, counts, names)
    if combine_hashes(hashes) != checked.content_hash:
        # A row was let out of quarantine after the check, or rows are gone.
        columns = published_columns(use_case, checked.dataset)
        hashes = dict.fromkeys(keys, EMPTY_HASH)
        hashes |= partition_hashes(connection, staged, columns, sql.SQL("_rules IS NULL"))
        aside = partition_hashes(connection, staged, [*columns, "_rules"], sql.SQL("_rules IS NOT NULL"))
    came = sum(rows for rows, *_ in counts.values())
    if combine_hashes(hashes) != checked.content_hash or came != checked.rows_in:
        raise staging_lost(checked, "does not hold what was checked")
    return {
        key: PartitionState(
            before[key].version + 1 if key in before else 1, hashes[key], aside.get(key, ""), *counts.get(key, [0] * 4)
        )
        for key in keys
    }


def _recorded(
    connection: psycopg.Connection[Any], counts: Mapping[str, list[int]], names: dict[str, Any]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the hashes that the check wrote down, of the rows kept and of those set aside, where the counts hold."""
    hashes, aside = dict.fromkeys(names["keys"], EMPTY_HASH), {}
    for key, *recorded, content_hash, quarantine_hash in connection.execute(_CHECKED, names).fetchall():
        hashes[key], aside[key] = content_hash if counts.get(key) == recorded else "", quarantine_hash
    return hashes, aside


def staging_lost(checked: CheckedPartition, what: str) -> TerminalError:
    """Return the error of a staging table that is not whole: it is unlogged, so a crash of the server empties it."""
    return TerminalError(
        f"the staging table {checked.uri} {what}",
        where=f"{checked.use_case}.{checked.dataset} {checked.partition_key}",
        hint="check the partition again, then publish",
    )
