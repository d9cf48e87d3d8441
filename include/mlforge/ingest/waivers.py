"""Rules waived for rows that a person lets out of quarantine as they are, in what an attempt has staged."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from mlforge import db
from mlforge.db.content import EMPTY_HASH, combine_hashes, partition_hashes
from mlforge.errors import TerminalError
from mlforge.ingest.releases import RowRelease, standing_releases
from mlforge.ingest.warehouse import published_columns
from mlforge.refs import CheckedPartition
from mlforge.spec import Contract, UseCase

# The row is read as the staging table's types and written again, so that equal values are written alike.
_SAME: LiteralString = """
    to_jsonb(staged) - {own} = to_jsonb(jsonb_populate_record(NULL::{staged}, %(row)s)) - {own}
"""
_WAIVE: LiteralString = """
    UPDATE {staged} AS staged SET _rules = nullif(
        ARRAY(SELECT rule FROM unnest(_rules) AS rule WHERE rule <> ALL(%(waived)s) ORDER BY rule), '{{}}')
    WHERE _rules IS NOT NULL AND partition_key = %(key)s AND {same}
"""
_STILL_BROKEN: LiteralString = """
    SELECT _rules FROM {staged} AS staged WHERE _rules IS NOT NULL AND partition_key = %(key)s AND {same}
"""
_COUNTS: LiteralString = """
    SELECT count(*) FILTER (WHERE _rules IS NULL), count(_rules) FROM {staged}
"""
_TWICE: LiteralString = """
    SELECT to_jsonb(twice) FROM (
        SELECT {key} FROM {staged} WHERE _rules IS NULL GROUP BY {key}, partition_key HAVING count(*) > 1 LIMIT 6
    ) AS twice
"""
_WITHOUT: LiteralString = """
    SELECT count(*) FROM {staged} WHERE _rules IS NULL AND {column} IS NULL
"""
_OWN = "{_row_id,_copies,_rules,partition_key,event_timestamp,known_at}"


def waive_released(
    use_case: UseCase, checked: CheckedPartition, pending: Iterable[RowRelease] = ()
) -> CheckedPartition:
    """Return the checked partition with the waived rules waived; the verdicts stay in the ledger as they were.

    Args:
        use_case: The use case.
        checked: Fresh from the check.
        pending: Releases that are not in the ledger yet.
    """
    releases = [*standing_releases(use_case, checked.dataset, checked.partition_key), *pending]
    waivers = [each for each in releases if each.waived]
    if not waivers:
        return checked
    staged = sql.Identifier(*checked.uri.split(".", 1))
    with db.connect() as connection:
        changed = 0
        for release in waivers:
            bound = {"key": release.partition_key, "row": Jsonb(release.row), "waived": list(release.waived)}
            changed += connection.execute(_statement(_WAIVE, staged), bound).rowcount
        return _counted(connection, use_case, checked, staged) if changed else checked


def _statement(text: LiteralString, staged: sql.Identifier) -> sql.Composed:
    own = sql.Literal(_OWN) + sql.SQL("::text[]")
    same = sql.SQL(_SAME).format(staged=staged, own=own)
    return sql.SQL(text).format(staged=staged, same=same)


def _counted(
    connection: psycopg.Connection[Any], use_case: UseCase, checked: CheckedPartition, staged: sql.Identifier
) -> CheckedPartition:
    hashes = dict.fromkeys(use_case.partition_keys(checked.partition_key), EMPTY_HASH)
    columns = published_columns(use_case, checked.dataset)
    hashes |= partition_hashes(connection, staged, columns, sql.SQL("_rules IS NULL"))
    found = connection.execute(sql.SQL(_COUNTS).format(staged=staged)).fetchone()
    rows, aside = found if found is not None else (0, 0)
    return checked.model_copy(update={"rows": rows, "rows_quarantined": aside, "content_hash": combine_hashes(hashes)})


def require_fixed(use_case: UseCase, checked: CheckedPartition, releases: Iterable[RowRelease]) -> None:
    """Check that every released row can be published now.

    Raises:
        TerminalError: One still breaks a rule, or what the table itself demands, which nobody can waive. Nothing is
            released, and what was staged is dropped.
    """
    staged = sql.Identifier(*checked.uri.split(".", 1))
    broken: list[str] = []
    with db.connect() as connection:
        for release in releases:
            row = release.row if release.fixed is None else release.fixed
            bound = {"key": release.partition_key, "row": Jsonb(row)}
            for (rules,) in connection.execute(_statement(_STILL_BROKEN, staged), bound).fetchall():
                key = {name: row.get(name) for name in use_case.contract(checked.dataset).key} or row
                broken.append(f"{json.dumps(key)} breaks {', '.join(rules)}")
        broken += _unpublishable(connection, use_case.contract(checked.dataset), staged)
        if broken:
            connection.execute(sql.SQL("DROP TABLE {}").format(staged))
    if broken:
        raise TerminalError(
            f"{len(broken)} rows cannot be published, so nothing is released",
            where=f"{use_case.name}.{checked.dataset} {checked.partition_key}",
            evidence=broken,
            hint="correct them in the file, leave them out of it, or waive the rule with --as-is --rule",
        )


def _unpublishable(connection: psycopg.Connection[Any], contract: Contract, staged: sql.Identifier) -> list[str]:
    """Return what the warehouse would refuse: a standing release must not make later attempts fail."""
    found = []
    if contract.key:
        key = sql.SQL(", ").join(map(sql.Identifier, contract.key))
        twice = connection.execute(sql.SQL(_TWICE).format(key=key, staged=staged)).fetchall()
        found += [f"the key {json.dumps(row)} comes twice" for (row,) in twice]
    for column in contract.columns:
        if column.required or column.key_position is not None:
            query = sql.SQL(_WITHOUT).format(staged=staged, column=sql.Identifier(column.name))
            row = connection.execute(query).fetchone()
            found += [f"{column.name} is required, and missing in {row[0]}"] if row and row[0] else []
    return found
